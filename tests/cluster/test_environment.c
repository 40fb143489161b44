/* The environment of a container, and $(VAR) as Kubernetes expands it. */
#include "fixture.h"

#include "cluster/node/container_setup.h"
#include "cluster/node/environment.h"

static void variables_are_expanded_as_kubernetes_does(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"$(A)", "1"},
        {"x$(A)y$(B)z", "x1y2 3z"},
        {"$(MISSING)", "$(MISSING)"},
        {"$$(A)", "$(A)"},
        {"$$$(A)", "$1"},
        {"$$$$(A)", "$$(A)"},
        {"$A $", "$A $"},
        {"$(A", "$(A"},
        {"$(", "$("},
        {"$()", "$()"},
        {"$($(A))", "$($(A))"}, /* the name is "$(A" */
        {"100$ $(A)", "100$ 1"},
        {"$(EMPTY)|", "|"},
        {"$(INNER)", "$(A)"}, /* a value is not expanded again */
    };
    InaError error = {0};
    Environment *environment = environment_new();
    environment_set(environment, "A", "1", &error);
    environment_set(environment, "B", "2 3", &error);
    environment_set(environment, "EMPTY", "", &error);
    environment_set(environment, "INNER", "$(A)", &error);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        assert_success(environment_expand(environment, cases[i].text, &text, &error), error);
        assert_string_equal(text, cases[i].expected);
        free(text);
    }
    environment_free(environment);
}

static void setting_again_replaces(void **state)
{
    InaError error = {0};
    Environment *environment = environment_new();
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "N%d", i % 50);
        assert_success(environment_format(environment, name, &error, "%d", i), error);
    }
    size_t count = 0;
    while (environment_list(environment)[count])
        count++;
    assert_int_equal(count, 50);
    assert_string_equal(environment_get(environment, "N7"), "57");
    assert_null(environment_get(environment, "N"));
    environment_free(environment);
}

static void an_expansion_that_grows_without_bounds_is_refused(void **state)
{
    InaError error = {0};
    Environment *environment = environment_new();
    char *text = malloc(40001);
    assert_non_null(text);
    memset(text, 'x', 40000);
    text[40000] = '\0';
    environment_set(environment, "BIG", text, &error);
    char *result = NULL;
    assert_failure(environment_expand(environment, "$(BIG)$(BIG)", &result, &error), error, "65536");
    assert_null(result);
    free(text);
    environment_free(environment);
}

/* What a container with this hostIP is told, or the message why it is not started. */
static const char *told(const char *host_ip, const char *listen, InaError *error)
{
    static char text[256];
    PortSpec ports[] = {{.container_port = 80}, {.container_port = 80, .host_port = 8080, .host_ip = (char *)host_ip}};
    ContainerSpec spec = {.ports = ports, .n_ports = 2};
    Instance instance = {.number = 2};
    return container_listen(&spec, &instance, listen, text, sizeof text, error) < 0 ? error->message : text;
}

static void host_ports_are_offered_beyond_loopback_only_where_listen_says(void **state)
{
    static const struct {
        const char *host_ip, *listen, *expected;
    } cases[] = {
        {NULL, NULL, "127.0.0.1:8082"},
        {"", NULL, "127.0.0.1:8082"},
        {"0.0.0.0", NULL, "127.0.0.1:8082"},
        {"::", NULL, "127.0.0.1:8082"},
        {"::0", NULL, "127.0.0.1:8082"},
        {"127.9.9.9", NULL, "127.9.9.9:8082"},
        {"::1", NULL, "[::1]:8082"},
        {"0.0.0.0", "192.0.2.1", "127.0.0.1:8082,192.0.2.1:8082"},
        {"192.0.2.1", "192.0.2.1", "192.0.2.1:8082"},
        {"127.9.9.9", "192.0.2.1", "127.9.9.9:8082,192.0.2.1:8082"},
        {"192.0.2.7", "0.0.0.0", "0.0.0.0:8082"},
        {"0.0.0.0", "::", "[::]:8082"},
        {"192.0.2.1", NULL,
         "hostIP 192.0.2.1 is beyond this machine's loopback: allowed are 127.0.0.0/8, ::1 and what "
         "`inaetics up --listen` names (nothing now)"},
    };
    static const char *const refused[] = {"192.0.2.7", "2001:db8::1", "::ffff:0.0.0.0", "::ffff:192.0.2.7",
                                          "128.0.0.1"};
    InaError error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(told(cases[i].host_ip, cases[i].listen, &error), cases[i].expected);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_non_null(strstr(told(refused[i], "192.0.2.1", &error), "--listen` names (192.0.2.1)"));
    assert_non_null(strstr(told("0", "192.0.2.1", &error), "hostIP \"0\" is no IP address"));
    assert_non_null(strstr(told("127.1", NULL, &error), "is no IP address"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_expanded_as_kubernetes_does),
        cmocka_unit_test(setting_again_replaces),
        cmocka_unit_test(an_expansion_that_grows_without_bounds_is_refused),
        cmocka_unit_test(host_ports_are_offered_beyond_loopback_only_where_listen_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
