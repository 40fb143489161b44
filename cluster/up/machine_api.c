/* machine_api.c - DATA/machine.sock: the faults that machines have, on request. */
#include "base/cleanup.h"
#include "base/files.h"
#include "base/pki.h"
#include "cluster/users.h"
#include "kube/object.h"
#include "machine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#define COMMAND_MAX 256u
#define TOKEN_BYTES 32u

/* --- answers --------------------------------------------------------------------------------- */

/* Takes the json. */
static void respond_json(InaHttpRequest *request, int status, json_t *json)
{
    http_respond_json(request, status, json, JSON_INDENT(2));
}

static void respond_failure(InaHttpRequest *request, int status, const char *reason, const char *message)
{
    respond_json(request, status,
                 json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion", "v1", "status", "Failure",
                           "message", message, "reason", reason, "code", status));
}

static void respond_error(InaHttpRequest *request, const InaError *error)
{
    if (error->code == ENOENT || error->code == ESRCH)
        respond_failure(request, 404, "NotFound", error->message);
    else if (error->code == EALREADY || error->code == EBUSY)
        respond_failure(request, 409, "Conflict", error->message);
    else
        respond_failure(request, 500, "InternalError", error->message);
}

static json_t *machine_json(const Machine *machine)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i}", "name", machine->name, "address", machine->address, "state",
                     machine_state_name(machine->state), "pid", (int)service_pid(machine->service), "starts",
                     (int)machine->starts);
}

/* --- processes --------------------------------------------------------------------------------- */

static void read_command(pid_t pid, char ret[COMMAND_MAX])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, ret, COMMAND_MAX - 1) : 0;
    for (ssize_t i = 0; i < size; i++)
        if ((unsigned char)ret[i] < ' ' ||
            (unsigned char)ret[i] > '~') /* what is behind 255 bytes may be half a letter */
            ret[i] = ' ';
    while (size > 0 && ret[size - 1] == ' ')
        size--;
    ret[size > 0 ? size : 0] = '\0';
}

/* State letter and resident pages as /proc/PID/stat has them. */
static bool read_stat(pid_t pid, char *ret_state, long *ret_pages)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FILE FILE *file = fopen(path, "re");
    const char *at = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (!at || strlen(at) < 3)
        return false;
    *ret_state = at[2];
    for (int field = 3; field <= 24 && at; field++) /* proc(5): rss is field 24; behind ')' comes 3 */
        at = strchr(at + 1, ' ');
    *ret_pages = at ? strtol(at, NULL, 10) : 0;
    return true;
}

static void list_one(void *userdata, pid_t pid)
{
    char state, command[COMMAND_MAX] = "";
    long pages;
    if (!read_stat(pid, &state, &pages) || state == 'Z')
        return;
    read_command(pid, command);
    AUTO_FREE char *pod = child_variable(pid, "INAETICS_POD"), *container = child_variable(pid, "INAETICS_CONTAINER");
    json_array_append_new(userdata, json_pack("{s:i, s:s, s:s, s:s, s:s#, s:I}", "pid", (int)pid, "pod", pod ? pod : "",
                                              "container", container ? container : "", "command", command, "state",
                                              &state, 1, "memory", (json_int_t)pages * sysconf(_SC_PAGESIZE)));
}

typedef struct KillSearch {
    const char *what; /* pid, POD or POD/CONTAINER */
    unsigned killed;
} KillSearch;

static bool names_process(const char *what, pid_t pid)
{
    char number[16];
    snprintf(number, sizeof number, "%d", pid);
    if (strcmp(what, number) == 0)
        return true;
    AUTO_FREE char *pod = child_variable(pid, "INAETICS_POD");
    size_t length = pod ? strlen(pod) : 0;
    if (length == 0 || strncmp(what, pod, length) != 0)
        return false;
    if (what[length] == '\0')
        return true;
    AUTO_FREE char *container = child_variable(pid, "INAETICS_CONTAINER");
    return what[length] == '/' && container && strcmp(what + length + 1, container) == 0;
}

static void kill_one(void *userdata, pid_t pid)
{
    KillSearch *search = userdata;
    if (names_process(search->what, pid) && kill(pid, SIGKILL) == 0)
        search->killed++;
}

static int kill_processes(const Machine *machine, const char *what, InaError *error)
{
    KillSearch search = {.what = what};
    child_marked(machine->mark, kill_one, &search);
    if (search.killed > 0)
        return 0;
    return ina_error_set(error, ESRCH,
                         "%s: nothing runs there under \"%.200s\"; allowed are a pid, a pod, or POD/CONTAINER, as "
                         "`inaetics node ps %s` shows them",
                         machine->name, what, machine->name);
}

/* --- requests ----------------------------------------------------------------------------------- */

static void list_machines(Machines *machines, InaHttpRequest *request)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < INSTANCE_NODES; i++)
        json_array_append_new(list, machine_json(&machines->items[i]));
    respond_json(request, 200, list);
}

typedef struct Action {
    const char *name;
    int (*act)(Machines *machines, const char *name, InaError *error);
} Action;

static void handle_action(Machines *machines, InaHttpRequest *request, Machine *machine, const char *what)
{
    static const Action actions[] = {
        {"halt", machine_halt}, {"start", machine_start}, {"freeze", machine_freeze}, {"thaw", machine_thaw}};
    InaError error = {0};
    int r = -ENOENT;
    if (strncmp(what, "kill/", 5) == 0) {
        r = kill_processes(machine, what + 5, &error);
    } else {
        ina_error_set(&error, ENOENT,
                      "%s: nothing is known of \"%.80s\"; allowed are halt, start, freeze, thaw, kill/WHAT",
                      machine->name, what);
        for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
            if (strcmp(what, actions[i].name) == 0)
                r = actions[i].act(machines, machine->name, &error);
    }
    if (r < 0)
        respond_error(request, &error);
    else
        respond_json(request, 200, machine_json(machine));
}

static bool may(const Machines *machines, const InaHttpRequest *request)
{
    const char *given = ina_http_header(request, "Authorization");
    size_t length = strlen(machines->token);
    return given && strncmp(given, "Bearer ", 7) == 0 && strlen(given + 7) == length &&
           sodium_memcmp(given + 7, machines->token, length) == 0;
}

static void handle_request(void *userdata, InaHttpRequest *request)
{
    Machines *machines = userdata;
    if (!may(machines, request))
        return respond_failure(
            request, 401, "Unauthorized",
            "the token in machine.token, beside this socket, is needed as \"Authorization: Bearer\"");
    InaError error = {0};
    const char *path = ina_http_path(request) + strlen("/nodes");
    bool get = strcmp(ina_http_method(request), "GET") == 0, post = strcmp(ina_http_method(request), "POST") == 0;
    if (*path == '\0' && get)
        return list_machines(machines, request);
    char name[32] = "";
    size_t length = *path == '/' ? strcspn(path + 1, "/") : 0;
    if (length < sizeof name)
        memcpy(name, path + 1, length);
    Machine *machine = machine_find(machines, name, &error);
    if (!machine)
        return respond_error(request, &error);
    const char *rest = path + 1 + length;
    rest += *rest == '/';
    if (get && strcmp(rest, "ps") == 0) {
        json_t *list = json_array();
        child_marked(machine->mark, list_one, list);
        respond_json(request, 200, list);
    } else if (get && *rest == '\0') {
        respond_json(request, 200, machine_json(machine));
    } else if (post) {
        handle_action(machines, request, machine, rest);
    } else {
        ina_http_set_header(request, "Allow", "GET, POST");
        respond_failure(request, 405, "MethodNotAllowed", "allowed are GET and POST");
    }
}

int machine_api_start(Machines *machines, InaError *error)
{
    AUTO_FREE char *path = instance_path(machines->options.instance, "machine.sock"), *address = NULL,
                   *token = instance_path(machines->options.instance, "machine.token");
    if (!path || !token || asprintf(&address, "unix:%s", path) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = pki_ensure_token(token, TOKEN_BYTES, &machines->token, error);
    if (r == 0)
        r = http_server_new(machines->options.event, &(HttpServerOptions){0}, &machines->server, error);
    if (r == 0)
        r = http_server_listen(machines->server, address, error);
    /* No other pod could connect than those of the same user: let them, the token decides. */
    if (r == 0 && machines->options.users && (chown(path, (uid_t)-1, USERS_GROUP) < 0 || chmod(path, 0660) < 0))
        r = ina_error_errno(error, errno, "%s", path);
    return r < 0 ? r : http_server_handle(machines->server, "/nodes", handle_request, machines, error);
}
