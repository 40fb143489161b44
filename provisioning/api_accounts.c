/* api_accounts.c - accounts of people. */
#include "api.h"

#include <errno.h>
#include <string.h>

#define PASSWORD_MIN 8u

typedef struct Hashing {
    Server *server;
    InaHttpRequest *request;
    Account by;
    char name[ACCOUNT_NAME_MAX + 1], role[32];
    char password[ACCOUNT_PASSWORD_MAX + 1], hash[ACCOUNT_HASH_SIZE];
    int result;
    InaError error;
} Hashing;

static void add_account(void *userdata, const Account *account)
{
    json_array_append_new(userdata, json_pack("{s:s, s:s}", "name", account->name, "role", account->role));
}

static void get_accounts(ApiCall *call)
{
    json_t *items = json_array();
    accounts_each(call->server->accounts, add_account, items);
    server_json(call->request, 200, json_pack("{s:o}", "items", items));
}

/* Who reads the events of something is asked again whether he may. */
static void answer(Server *server, InaHttpRequest *request, int result, const InaError *error, const char *name,
                   const char *role)
{
    if (result < 0) {
        server_fail(request, 0, error);
        return;
    }
    if (server->stream)
        stream_check(server->stream);
    server_json(request, 200, json_pack("{s:s, s:s}", "name", name, "role", role));
}

static void hash_work(void *userdata)
{
    Hashing *hashing = userdata;
    hashing->result = accounts_hash(hashing->password, hashing->hash, &hashing->error);
}

static void hash_done(void *userdata, bool cancelled)
{
    Hashing *hashing = userdata;
    if (cancelled)
        hashing->result = ina_error_set(&hashing->error, ESHUTDOWN, "the server ends");
    else if (!server_still_may(hashing->server, &hashing->by, PERMIT_EDIT_USERS))
        hashing->result =
            ina_error_set(&hashing->error, EPERM, "%s was changed meanwhile: nothing was done", hashing->by.name);
    if (hashing->result >= 0)
        hashing->result =
            accounts_set_hash(hashing->server->accounts, hashing->name, hashing->hash, hashing->role, &hashing->error);
    answer(hashing->server, hashing->request, hashing->result, &hashing->error, hashing->name, hashing->role);
    explicit_bzero(hashing->password, sizeof(hashing->password));
    free(hashing);
}

static void set_password(ApiCall *call, const char *name, const char *password, const char *role)
{
    InaError error = {0};
    Hashing *hashing = calloc(1, sizeof(*hashing));
    int r = hashing ? 0 : ina_error_set(&error, ENOMEM, "no memory");
    if (r >= 0) {
        hashing->server = call->server;
        hashing->request = call->request;
        hashing->by = call->account;
        snprintf(hashing->name, sizeof(hashing->name), "%.*s", (int)ACCOUNT_NAME_MAX, name);
        snprintf(hashing->role, sizeof(hashing->role), "%s", role);
        snprintf(hashing->password, sizeof(hashing->password), "%s", password);
        r = worker_submit(call->server->workers, hash_work, hash_done, hashing, NULL, &error);
    }
    if (r < 0) {
        free(hashing);
        api_fail(call, &error);
    }
}

static void put_account(ApiCall *call)
{
    const char *name = call->parameters[0], *password, *role;
    InaError error = {0};
    Account account;
    if (!api_string(call, "password", false, &password) || !api_string(call, "role", false, &role))
        return;
    if (!role && accounts_get(call->server->accounts, name, &account))
        role = account.role;
    if (!role || strlen(role) >= sizeof(account.role)) {
        server_fail_text(call->request, 400, EINVAL, "\"role\" is needed: admin, viewer, ...");
    } else if (!account_name_valid(name)) {
        server_fail_text(call->request, 400, EINVAL,
                         "the name of an account has 1 to %u letters, digits or characters of \"._@-\"",
                         ACCOUNT_NAME_MAX);
    } else if (!password) {
        int r = accounts_set(call->server->accounts, name, NULL, role, &error);
        answer(call->server, call->request, r, &error, name, role);
    } else if (strlen(password) < PASSWORD_MIN || strlen(password) > ACCOUNT_PASSWORD_MAX) {
        server_fail_text(call->request, 400, EINVAL, "the password must have %u to %u bytes", PASSWORD_MIN,
                         ACCOUNT_PASSWORD_MAX);
    } else {
        set_password(call, name, password, role);
    }
}

typedef struct Owned {
    const char *owner;
    Workspace *found;
} Owned;

static void find_owned(void *userdata, Workspace *workspace)
{
    Owned *owned = userdata;
    if (strcmp(workspace_owner(workspace), owned->owner) == 0)
        owned->found = workspace;
}

/* Else they would be those of the next account of that name. */
static void end_workspaces(Server *server, const char *owner)
{
    Owned owned = {.owner = owner};
    do {
        owned.found = NULL;
        repository_each_workspace(server->repository, find_owned, &owned);
        if (owned.found)
            ace_rest_forget(server, workspace_id(owned.found));
        workspace_free(owned.found);
    } while (owned.found);
}

static void delete_account(ApiCall *call)
{
    InaError error = {0};
    if (accounts_remove(call->server->accounts, call->parameters[0], &error) < 0) {
        api_fail(call, &error);
        return;
    }
    end_workspaces(call->server, call->parameters[0]);
    stream_check(call->server->stream);
    ina_http_respond(call->request, 204, NULL, NULL, 0);
}

const ApiRoute api_account_routes[] = {
    {"GET", "/v1/accounts", PERMIT_EDIT_USERS, API_NO_BODY, get_accounts, "Accounts and their roles", NULL,
     "200 accounts,401,403"},
    {"PUT", "/v1/accounts/{name}", PERMIT_EDIT_USERS, API_JSON, put_account,
     "Make an account, or change its password or role", NULL, "200 the account,400,401,403"},
    {"DELETE", "/v1/accounts/{name}", PERMIT_EDIT_USERS, API_NO_BODY, delete_account, "Remove an account", NULL,
     "204,401,403,404"},
    {0},
};
