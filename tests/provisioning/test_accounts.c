/* Accounts, roles, sessions, delays and tokens of targets. */
#include "provisioning/accounts.h"
#include "tests/leftovers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Place {
    char folder[64], path[96];
    Database *database;
    Accounts *accounts;
} Place;

static void open_place(Place *place)
{
    InaError error = {0};
    if (database_open(place->path, &place->database, &error) < 0 ||
        accounts_open(place->database, &place->accounts, &error) < 0)
        fail_msg("%s", error.message);
}

static void close_place(Place *place)
{
    place->accounts = accounts_close(place->accounts);
    place->database = database_close(place->database);
}

static void begin(Place *place)
{
    *place = (Place){.folder = "/tmp/test-accounts-XXXXXX"};
    assert_non_null(make_test_folder(place->folder));
    snprintf(place->path, sizeof(place->path), "%s/d", place->folder);
    open_place(place);
}

static void end(Place *place)
{
    char command[128];
    close_place(place);
    snprintf(command, sizeof(command), "rm -r %s", place->folder);
    assert_int_equal(system(command), 0);
}

static void the_default_account_is_made_once_and_known(void **state)
{
    Place place;
    Account account;
    InaError error = {0};

    begin(&place);
    assert_true(accounts_default(place.accounts));
    assert_int_equal(accounts_check(place.accounts, "d", "f", &account, &error), 0);
    assert_string_equal(account.role, "admin");
    assert_int_equal(account.permissions, (1u << PERMISSIONS) - 1);
    assert_int_equal(accounts_set(place.accounts, "d", "something else", "admin", &error), 0);
    assert_false(accounts_default(place.accounts));
    close_place(&place);
    open_place(&place);
    assert_false(accounts_default(place.accounts));
    assert_int_equal(accounts_check(place.accounts, "d", "f", &account, &error), -EACCES);
    assert_int_equal(accounts_check(place.accounts, "d", "something else", &account, &error), 0);
    end(&place);
}

static void wrong_names_passwords_and_roles_are_refused(void **state)
{
    Place place;
    Account account = {0};
    InaError error = {0};
    char lengthy[ACCOUNT_PASSWORD_MAX + 2];

    begin(&place);
    memset(lengthy, 'x', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    assert_int_equal(accounts_check(place.accounts, "d", "", &account, &error), -EACCES);
    assert_int_equal(accounts_check(place.accounts, "nobody", "", &account, &error), -EACCES);
    assert_int_equal(accounts_check(place.accounts, "nobody", "f", &account, &error), -EACCES);
    assert_int_equal(accounts_check(place.accounts, "d", lengthy, &account, &error), -EACCES);
    assert_string_equal(account.name, "");
    assert_int_equal(accounts_set(place.accounts, "a", lengthy, "viewer", &error), -EINVAL);
    assert_int_equal(accounts_set(place.accounts, "a", "", "viewer", &error), -EINVAL);
    assert_int_equal(accounts_set(place.accounts, "a", NULL, "viewer", &error), -EINVAL);
    assert_int_equal(accounts_set(place.accounts, "a b", "x", "viewer", &error), -EINVAL);
    assert_int_equal(accounts_set(place.accounts, "", "x", "viewer", &error), -EINVAL);
    assert_int_equal(accounts_set(place.accounts, "a", "x", "king", &error), -EINVAL);
    assert_non_null(strstr(error.message, "target-operator"));
    assert_int_equal(accounts_remove(place.accounts, "a", &error), -ENOENT);
    end(&place);
}

static void the_last_admin_stays(void **state)
{
    Place place;
    InaError error = {0};

    begin(&place);
    assert_int_equal(accounts_remove(place.accounts, "d", &error), -EPERM);
    assert_int_equal(accounts_set(place.accounts, "d", NULL, "viewer", &error), -EPERM);
    assert_int_equal(accounts_set(place.accounts, "root", "another", "admin", &error), 0);
    assert_int_equal(accounts_remove(place.accounts, "d", &error), 0);
    assert_false(accounts_default(place.accounts));
    assert_int_equal(accounts_remove(place.accounts, "root", &error), -EPERM);
    end(&place);
}

static void every_permission_has_a_name_and_a_role_other_than_admin(void **state)
{
    static const char *const roles[] = {"release-manager", "distribution-manager",          "target-manager",
                                        "target-operator", "external-distribution-manager", "viewer"};
    uint32_t all = 0, one;

    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
        assert_int_equal(role_permissions(roles[i], &one), 0);
        assert_false(one & PERMIT(PERMIT_EDIT_USERS));
        all |= one;
    }
    assert_int_equal(all, ((1u << PERMISSIONS) - 1) & ~PERMIT(PERMIT_EDIT_USERS));
    for (unsigned i = 0; i < PERMISSIONS; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(permission_name((Permission)i), permission_name((Permission)j));
    assert_int_equal(role_permissions("", &one), -EINVAL);
}

static void a_session_ends_by_time_logout_new_password_and_removal(void **state)
{
    Place place;
    Account account, found;
    InaError error = {0};
    char token[65];

    begin(&place);
    assert_int_equal(accounts_set(place.accounts, "eve", "secret1", "viewer", &error), 0);
    assert_true(accounts_get(place.accounts, "eve", &account));
    assert_int_equal(accounts_session_begin(place.accounts, &account, 1000, token, &error), 0);
    assert_true(accounts_session(place.accounts, token, 999 + SESSION_MS, &found));
    assert_string_equal(found.name, "eve");
    assert_int_equal(accounts_set(place.accounts, "eve", NULL, "target-operator", &error), 0);
    assert_true(accounts_session(place.accounts, token, 1000, &found));
    assert_string_equal(found.role, "target-operator");
    assert_false(accounts_session(place.accounts, token, 1000 + SESSION_MS, &found));
    assert_false(accounts_session(place.accounts, token, 1000, &found));

    assert_int_equal(accounts_session_begin(place.accounts, &account, 1000, token, &error), 0);
    accounts_session_end(place.accounts, token);
    assert_false(accounts_session(place.accounts, token, 1000, &found));

    assert_int_equal(accounts_session_begin(place.accounts, &account, 1000, token, &error), 0);
    assert_int_equal(accounts_set(place.accounts, "eve", "secret2", "viewer", &error), 0);
    assert_false(accounts_session(place.accounts, token, 1000, &found));

    assert_int_equal(accounts_session_begin(place.accounts, &account, 1000, token, &error), 0);
    assert_int_equal(accounts_remove(place.accounts, "eve", &error), 0);
    assert_false(accounts_session(place.accounts, token, 1000, &found));
    assert_false(accounts_session(place.accounts, "", 1000, &found));
    end(&place);
}

static void sessions_are_bounded_the_oldest_goes(void **state)
{
    Place place;
    Account account, found;
    InaError error = {0};
    char first[65], second[65], token[65];

    begin(&place);
    assert_true(accounts_get(place.accounts, "d", &account));
    assert_int_equal(accounts_session_begin(place.accounts, &account, 1, first, &error), 0);
    assert_int_equal(accounts_session_begin(place.accounts, &account, 2, second, &error), 0);
    for (unsigned i = 0; i < SESSIONS_MAX - 1; i++)
        assert_int_equal(accounts_session_begin(place.accounts, &account, 3 + i, token, &error), 0);
    assert_false(accounts_session(place.accounts, first, 5, &found));
    assert_true(accounts_session(place.accounts, second, 5, &found));
    end(&place);
}

static void wrong_passwords_cost_their_address_a_growing_delay(void **state)
{
    Place place;
    int64_t now = 1000000, previous = 0;

    begin(&place);
    for (unsigned i = 0; i < ATTEMPTS_FREE; i++)
        assert_int_equal(accounts_attempt(place.accounts, "10.0.0.1", now), 0);
    for (unsigned i = 0; i < 12; i++) {
        int64_t wait = accounts_attempt(place.accounts, "10.0.0.1", now);
        assert_true(wait >= previous && wait >= 1000 && wait <= ATTEMPT_DELAY_MAX_MS);
        assert_true(accounts_attempt(place.accounts, "10.0.0.1", now + wait - 1) > 0);
        now += wait;
        assert_int_equal(accounts_attempt(place.accounts, "10.0.0.1", now), 0);
        previous = wait;
    }
    assert_int_equal(previous, ATTEMPT_DELAY_MAX_MS);
    assert_int_equal(accounts_attempt(place.accounts, "10.0.0.2", now), 0);
    accounts_attempt_right(place.accounts, "10.0.0.1");
    assert_int_equal(accounts_attempt(place.accounts, "10.0.0.1", now), 0);
    for (unsigned i = 0; i < ATTEMPTS_FREE; i++)
        assert_int_equal(accounts_attempt(place.accounts, "10.0.0.3", now), 0);
    assert_in_range(accounts_attempt(place.accounts, "10.0.0.3", now - 86400000), 1,
                    ATTEMPT_DELAY_MAX_MS);                     /* set back */
    for (unsigned i = 0; i < 2 * ATTEMPT_ADDRESSES_MAX; i++) { /* bounded */
        char address[32];
        snprintf(address, sizeof(address), "10.1.%u", i);
        assert_int_equal(accounts_attempt(place.accounts, address, now + i), 0);
    }
    end(&place);
}

static void a_target_enrols_once_until_it_is_silent_or_forgotten(void **state)
{
    Place place;
    InaError error = {0};
    char first[65], second[65];

    begin(&place);
    assert_false(accounts_target_enrolled(place.accounts, "t1"));
    assert_false(accounts_target_check(place.accounts, "t1", ""));
    assert_int_equal(accounts_target_enrol(place.accounts, "t1", NULL, 0, 100000, first, &error), 0);
    assert_true(accounts_target_check(place.accounts, "t1", first));
    assert_false(accounts_target_check(place.accounts, "t2", first));
    assert_int_equal(accounts_target_enrol(place.accounts, "t1", NULL, 99000, 100000, second, &error), -EEXIST);
    assert_int_equal(accounts_target_enrol(place.accounts, "t1", "wrong", 99000, 100000, second, &error), -EEXIST);
    assert_int_equal(accounts_target_enrol(place.accounts, "t1", first, 99000, 100000, second, &error), 0);
    assert_false(accounts_target_check(place.accounts, "t1", first));
    close_place(&place);
    open_place(&place);
    assert_true(accounts_target_check(place.accounts, "t1", second));
    assert_int_equal(accounts_target_enrol(place.accounts, "t1", NULL, 99000, 99000 + ENROL_SILENCE_MS, first, &error),
                     0);
    assert_int_equal(accounts_target_forget(place.accounts, "t1", &error), 0);
    assert_false(accounts_target_check(place.accounts, "t1", first));
    assert_false(accounts_target_enrolled(place.accounts, "t1"));
    end(&place);
}

static void collect(void *userdata, const Account *account)
{
    strcat(strcat(userdata, account->name), " ");
}

static bool is_second(void *userdata, const char *target)
{
    return strcmp(target, "t2") == 0;
}

static void tokens_of_targets_that_nobody_knows_are_swept(void **state)
{
    Place place;
    InaError error = {0};
    char first[65], second[65];

    begin(&place);
    assert_int_equal(accounts_target_enrol(place.accounts, "t1", NULL, 0, 100000, first, &error), 0);
    assert_int_equal(accounts_target_enrol(place.accounts, "t2", NULL, 0, 100000, second, &error), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(accounts_target_sweep(place.accounts, is_second, NULL, &error), 0);
        assert_false(accounts_target_enrolled(place.accounts, "t1"));
        assert_false(accounts_target_check(place.accounts, "t1", first));
        assert_true(accounts_target_check(place.accounts, "t2", second));
        close_place(&place);
        open_place(&place);
    }
    end(&place);
}

static void accounts_are_listed_by_name(void **state)
{
    Place place;
    InaError error = {0};
    char names[256] = "";

    begin(&place);
    assert_int_equal(accounts_set(place.accounts, "z", "1", "viewer", &error), 0);
    assert_int_equal(accounts_set(place.accounts, "a@b.c", "1", "viewer", &error), 0);
    accounts_each(place.accounts, collect, names);
    assert_string_equal(names, "a@b.c d z ");
    end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_account_is_made_once_and_known),
        cmocka_unit_test(wrong_names_passwords_and_roles_are_refused),
        cmocka_unit_test(the_last_admin_stays),
        cmocka_unit_test(every_permission_has_a_name_and_a_role_other_than_admin),
        cmocka_unit_test(a_session_ends_by_time_logout_new_password_and_removal),
        cmocka_unit_test(sessions_are_bounded_the_oldest_goes),
        cmocka_unit_test(wrong_passwords_cost_their_address_a_growing_delay),
        cmocka_unit_test(a_target_enrols_once_until_it_is_silent_or_forgotten),
        cmocka_unit_test(tokens_of_targets_that_nobody_knows_are_swept),
        cmocka_unit_test(accounts_are_listed_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
