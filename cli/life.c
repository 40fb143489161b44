/* life.c - up, down, and what belongs to a running instance. */
#include "cli.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "cluster/up/link.h"
#include "cluster/up/up.h"
#include "provisioning/signing.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/pidfd.h>
#include <termios.h>

#define DOWN_WAIT_MS 75000
#define STATE_SIZE_MAX 65536
#define PURGE_DESCRIPTORS 32
#define PASSWORD_MIN 8
#define PASSWORD_MAX 1024

static bool has_password(const Instance *instance)
{
    const char *given = getenv("INAETICS_PASSWORD_FILE");
    AUTO_FREE char *path = instance_path(instance, "password");
    return access(given && given[0] ? given : path ? path : "", R_OK) == 0;
}

/* What deployments are signed with; agents trust its public half. */
static int make_signing_key(const Instance *instance, InaError *error)
{
    AUTO_FREE char *path = instance_path(instance, "pki/provisioning");
    SigningKey *key = NULL;
    int r = path ? signing_key_open(path, &key, error) : ina_error_set(error, ENOMEM, "out of memory");
    signing_key_free(key);
    return r;
}

int command_up(const Arguments *arguments, Instance *instance)
{
    InaError error = {0};
    if (arguments->listen && !has_password(instance))
        return cli_fail("--listen %s would show the pages to others, so a login is needed: set its password with "
                        "`inaetics password`",
                        arguments->listen);
    UpOptions options = {
        .instance = instance,
        .listen = arguments->listen,
        .etcd = arguments->etcd,
        .deployment = arguments->deployment,
        .software = arguments->software,
        .prepare = make_signing_key,
    };
    return up_run(&options, &error) < 0 ? cli_fail("%s", error.message) : CLI_OK;
}

static int end_instance(Instance *instance)
{
    int pid = up_find(instance);
    AUTO_CLOSE int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    /* The number may have passed on between the two: look again. */
    if (pidfd < 0 || up_find(instance) != pid)
        return CLI_OK;
    if (pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0)
        return cli_fail("cannot end pid %d: %s", pid, strerror(errno));
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    if (poll(&poll_fd, 1, DOWN_WAIT_MS) != 1)
        return cli_fail("pid %d has not ended within %d s; `kill -9 %d` ends it and all that it started", pid,
                        DOWN_WAIT_MS / 1000, pid);
    return CLI_OK;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Only what `inaetics up` made: a folder of ours has a lock and certificates.
 * That of instance 0 may hold those of others, which stay. */
static int purge(const Instance *instance)
{
    AUTO_FREE char *lock = instance_path(instance, "lock"), *pki = instance_path(instance, "pki/ca.pem");
    AUTO_FOLDER DIR *folder = opendir(instance->data);
    struct dirent *item;
    if (!folder || !lock || !pki || access(lock, F_OK) < 0 || access(pki, F_OK) < 0)
        return cli_fail("%s is no data folder of an instance; nothing is removed", instance->data);
    while ((item = readdir(folder))) {
        AUTO_FREE char *path = instance_path(instance, item->d_name);
        bool keep = strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0 ||
                    strncmp(item->d_name, "instance-", 9) == 0;
        if (!keep && (!path || nftw(path, remove_one, PURGE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0))
            return cli_fail("%s/%s could not be removed: %s", instance->data, item->d_name, strerror(errno));
    }
    if (rmdir(instance->data) < 0 && errno != ENOTEMPTY && errno != EBUSY)
        return cli_fail("%s: %s", instance->data, strerror(errno));
    printf("%s is removed\n", instance->data);
    return CLI_OK;
}

int command_down(const Arguments *arguments, Instance *instance)
{
    bool runs = up_find(instance) > 0;
    if (!runs && !arguments->purge)
        return cli_nothing_runs(instance, NULL);
    int status = runs ? end_instance(instance) : CLI_OK;
    return status == CLI_OK && arguments->purge ? purge(instance) : status;
}

static int read_secret(const Instance *instance, const char *name, char **ret)
{
    InaError error = {0};
    size_t size;
    AUTO_FREE char *path = instance_path(instance, name);
    if (!path)
        return cli_fail("out of memory");
    int r = file_read(path, 4096, ret, &size, &error);
    if (r == -ENOENT)
        return cli_fail("%s is not there; `inaetics up` makes it", path);
    if (r < 0)
        return cli_fail("%s", error.message);
    (*ret)[strcspn(*ret, "\n")] = '\0';
    return CLI_OK;
}

int command_token(const Arguments *arguments, Instance *instance)
{
    AUTO_FREE char *token = NULL;
    int status = read_secret(instance, "token", &token);
    if (status == CLI_OK)
        puts(token);
    return status;
}

int command_link(const Arguments *arguments, Instance *instance)
{
    InaError error = {0};
    AUTO_FREE char *session = NULL, *path = instance_path(instance, "up.json"), *text = NULL;
    AUTO_JSON json_t *state = NULL;
    size_t size;
    if (up_find(instance) <= 0 || !path)
        return cli_nothing_runs(instance, NULL);
    if (file_read(path, STATE_SIZE_MAX, &text, &size, &error) < 0 ||
        json_parse(text, size, STATE_SIZE_MAX, &state, &error) < 0)
        return cli_fail("it is not ready yet: %s", error.message);
    const char *page = json_string_value(json_object_get(state, "page"));
    if (!page || page[0] == '\0')
        return cli_fail("no pod has a host port, so there is no page");
    int status = read_secret(instance, "session", &session);
    char token[LINK_TOKEN_MAX];
    if (status == CLI_OK && link_token(session, token, &error) < 0)
        return cli_fail("%s", error.message);
    if (status == CLI_OK)
        printf("%s/?session=%s\n", page, token);
    return status;
}

char *cli_read_password(const char *prompt)
{
    struct termios old, silent;
    bool typed = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
    if (typed) {
        silent = old;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fputs(prompt, stderr); /* what is typed from now on is read, and not shown */
    }
    char *text = NULL;
    size_t room = 0;
    ssize_t size = getline(&text, &room, stdin);
    if (typed) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    if (size < 0) {
        free(text);
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

int command_password(const Arguments *arguments, Instance *instance)
{
    InaError error = {0};
    char hash[crypto_pwhash_STRBYTES];
    AUTO_FREE char *text = cli_read_password("Password: "), *path = instance_path(instance, "password");
    size_t length = text ? strlen(text) : 0;
    if (length < PASSWORD_MIN || length > PASSWORD_MAX)
        return cli_fail("the password has %zu bytes; allowed are %d to %d", length, PASSWORD_MIN, PASSWORD_MAX);
    if (!path || sodium_init() < 0 ||
        crypto_pwhash_str(hash, text, length, crypto_pwhash_OPSLIMIT_INTERACTIVE, crypto_pwhash_MEMLIMIT_INTERACTIVE) <
            0)
        return cli_fail("out of memory");
    sodium_memzero(text, length);
    if (folder_make(instance->data, 0700, &error) < 0 || file_write(path, hash, strlen(hash), 0600, &error) < 0)
        return cli_fail("%s", error.message);
    fprintf(stderr, "The password is set; it holds from the next `inaetics up` on.\n");
    return CLI_OK;
}

/* Becomes another program of ours: the options that `inaetics` read for it, then the arguments as they are. */
static int become(const char *name, const Arguments *arguments, const Instance *instance)
{
    InaError error = {0};
    AUTO_FREE char *program = NULL;
    AUTO_FREE char **items = calloc((size_t)arguments->count + 5, sizeof *items);
    if (!items)
        return cli_fail("out of memory");
    if (program_find(name, &program, &error) < 0)
        return cli_fail("%s", error.message);
    size_t n = 0;
    items[n++] = (char *)name;
    if (arguments->json)
        items[n++] = (char *)"--json";
    if (arguments->wait) {
        items[n++] = (char *)"--wait";
        items[n++] = (char *)arguments->wait;
    }
    for (int i = 0; i < arguments->count; i++)
        items[n++] = arguments->items[i];
    setenv("INAETICS_DATA", instance->data, 1);
    execv(program, items);
    return cli_fail("%s: %s", program, strerror(errno));
}

int command_verify(const Arguments *arguments, Instance *instance)
{
    return become("inaetics-verify", arguments, instance);
}

/* With the cluster's kubeconfig, so that nothing has to be set. */
int command_kubectl(const Arguments *arguments, Instance *instance)
{
    AUTO_FREE char *config = instance_path(instance, "kubeconfig"), *program = NULL;
    AUTO_FREE char **items = calloc((size_t)arguments->count + 2, sizeof *items);
    if (!config || !items)
        return cli_fail("out of memory");
    if (access(config, R_OK) < 0)
        return cli_nothing_runs(instance, NULL);
    if (program_find("kubectl", &program, NULL) < 0)
        return cli_fail("kubectl is not there; fetch it with `tools/fetch-server kubernetes-client kubectl build`, or "
                        "install Debian's kubernetes-client");
    items[0] = (char *)"kubectl";
    for (int i = 0; i < arguments->count; i++)
        items[i + 1] = arguments->items[i];
    setenv("KUBECONFIG", config, 1);
    execv(program, items);
    return cli_fail("%s: %s", program, strerror(errno));
}

int command_bundle(const Arguments *arguments, Instance *instance)
{
    return become("inaetics-bundle", arguments, instance);
}
