#include "confine.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The ABI that the running kernel speaks; headers may be older or newer. */
#define RIGHT_REFER (UINT64_C(1) << 13)    /* since ABI 2 */
#define RIGHT_TRUNCATE (UINT64_C(1) << 14) /* since ABI 3 */
#define RIGHTS_OF_FILES (LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE)
#define RIGHTS_ALWAYS                                                                                                  \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                  \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                     \
     LANDLOCK_ACCESS_FS_MAKE_SYM)

static long abi(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool confine_possible(void)
{
    return abi() >= 1;
}

static uint64_t rights(void)
{
    return RIGHTS_ALWAYS | (abi() >= 2 ? RIGHT_REFER : 0) | (abi() >= 3 ? RIGHT_TRUNCATE : 0);
}

static void allow(int rules, const char *path)
{
    struct stat status;
    AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return;
    struct landlock_path_beneath_attr beneath = {
        .allowed_access = S_ISDIR(status.st_mode) ? rights() : rights() & RIGHTS_OF_FILES,
        .parent_fd = fd,
    };
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
}

int confine_rules(const char *const *folders)
{
    static const char *const needed[] = {"/dev", "/proc"};
    struct landlock_ruleset_attr attribute = {.handled_access_fs = rights()};
    if (!confine_possible())
        return -1;
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attribute, sizeof attribute.handled_access_fs, 0);
    if (rules < 0)
        return -1;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        allow(rules, needed[i]);
    for (; *folders; folders++)
        allow(rules, *folders);
    return rules;
}

int confine_self(int rules)
{
    return syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
}
