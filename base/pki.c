/* pki.c - see pki.h. */
#include "pki.h"

#include "files.h"
#include "pki_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PEM_MAX 65536u
#define TOKEN_MAX 512u
#define TOKEN_FILE_MAX 4096u

/* --- what others may not see -------------------------------------------------------- */

static int check_private(const char *path, const struct stat *status, mode_t right, InaError *error)
{
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return ina_error_set(error, EPERM, "%s belongs to user %u, must belong to user %u", path, status->st_uid,
                             geteuid());
    if (status->st_mode & 077)
        return ina_error_set(error, EPERM, "%s can be read by others (mode %04o); make it private: chmod %o '%s'", path,
                             status->st_mode & 07777, right, path);
    return 0;
}

static int check_private_file(const char *path, InaError *error)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return ina_error_errno(error, errno, "%s", path);
    return check_private(path, &status, 0600, error);
}

/* The lock of a folder: the descriptor, which ends it when closed. */
static int lock_folder(const char *folder, InaError *error)
{
    struct stat status;

    int r = folder_make(folder, 0700, error);
    if (r < 0)
        return r;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        r = ina_error_errno(error, errno, "%s", folder);
    } else {
        r = check_private(folder, &status, 0700, error);
        for (int i = 0; r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
            if (errno != EWOULDBLOCK)
                r = ina_error_errno(error, errno, "%s: cannot lock", folder);
            else if (i >= PKI_LOCK_SECONDS * 100)
                r = ina_error_set(error, EBUSY, "%s: another process has had it locked for %d s; end that process",
                                  folder, PKI_LOCK_SECONDS);
            else
                nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
    }
    if (r == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return r;
}

/* --- pairs of files ------------------------------------------------------------------- */

typedef struct Paths {
    char *certificate, *key;
} Paths;

static int make_paths(const char *folder, const char *name, Paths *ret, InaError *error)
{
    *ret = (Paths){0};
    if (asprintf(&ret->certificate, "%s/%s.pem", folder, name) < 0)
        ret->certificate = NULL;
    if (asprintf(&ret->key, "%s/%s-key.pem", folder, name) < 0)
        ret->key = NULL;
    if (!ret->certificate || !ret->key) {
        free(ret->certificate);
        free(ret->key);
        return ina_error_errno(error, ENOMEM, "%s", folder);
    }
    return 0;
}

static void free_paths(Paths *paths)
{
    free(paths->certificate);
    free(paths->key);
}

static int load(const Paths *paths, CertificatePair *ret, InaError *error)
{
    char *certificate = NULL, *key = NULL;

    int r = check_private_file(paths->key, error);
    if (r == 0)
        r = file_read(paths->key, PEM_MAX, &key, NULL, error);
    if (r == 0)
        r = file_read(paths->certificate, PEM_MAX, &certificate, NULL, error);
    if (r == 0) {
        r = certificate_pair_parse(certificate, key, ret, error);
        if (r < 0)
            ina_error_wrap(error, "%s and %s", paths->certificate, paths->key);
    }
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
    free(certificate);
    return r;
}

/* The key first: without its certificate it is worth nothing and is made anew. */
static int save(const Paths *paths, const CertificatePair *pair, InaError *error)
{
    char *certificate, *key;

    int r = certificate_pair_print(pair, &certificate, &key, error);
    if (r < 0)
        return r;
    r = file_write(paths->key, key, strlen(key), 0600, error);
    if (r == 0)
        r = file_write(paths->certificate, certificate, strlen(certificate), 0644, error);
    explicit_bzero(key, strlen(key));
    free(key);
    free(certificate);
    return r;
}

/* --- the authority --------------------------------------------------------------------- */

static int load_ca(const Paths *paths, CertificatePair *ret, InaError *error)
{
    int r = load(paths, ret, error);

    if (r < 0)
        return r;
    r = certificate_check_ca(ret, error);
    if (r < 0) {
        ina_error_wrap(error, "%s", paths->certificate);
        certificate_pair_clear(ret);
    }
    return r;
}

static int ensure_ca(const Paths *paths, const char *name, InaError *error)
{
    CertificatePair pair = {0};

    bool has_certificate = access(paths->certificate, F_OK) == 0;
    if (has_certificate && access(paths->key, F_OK) < 0)
        return ina_error_set(error, ENOENT, "%s is missing; bring it back, or remove %s to start with a new authority",
                             paths->key, paths->certificate);
    int r = has_certificate ? load_ca(paths, &pair, error) : certificate_make_ca(name, &pair, error);
    if (r == 0 && !has_certificate)
        r = save(paths, &pair, error);
    certificate_pair_clear(&pair);
    return r;
}

int pki_ensure_ca(const char *folder, const char *name, InaError *error)
{
    Paths paths;

    int lock = lock_folder(folder, error);
    if (lock < 0)
        return lock;
    int r = make_paths(folder, "ca", &paths, error);
    if (r == 0) {
        r = ensure_ca(&paths, name, error);
        free_paths(&paths);
    }
    close(lock);
    return r;
}

/* --- certificates ------------------------------------------------------------------------ */

static int ensure_certificate(const Paths *ca_paths, const Paths *paths, const CertificateRequest *request,
                              InaError *error)
{
    CertificatePair ca = {0}, old = {0}, new = {0};

    int r = load_ca(ca_paths, &ca, error);
    if (r < 0)
        return r;
    /* Whatever is wrong with an old one, a new one mends it; but a key that others
     * could read is told: the user must know that it may have been copied. */
    bool there = access(paths->key, F_OK) == 0;
    if (there)
        r = check_private_file(paths->key, error);
    if (r == 0 && (!there || load(paths, &old, NULL) < 0 || !certificate_serves(&old, &ca, request))) {
        r = certificate_make(request, &ca, &new, error);
        if (r == 0)
            r = save(paths, &new, error);
    }
    certificate_pair_clear(&old);
    certificate_pair_clear(&new);
    certificate_pair_clear(&ca);
    return r;
}

int pki_ensure_certificate(const char *folder, const char *name, PkiUsage usage, const char *organisation,
                           const char *const *addresses, size_t n_addresses, InaError *error)
{
    const CertificateRequest request = {name, usage, organisation, addresses, n_addresses};
    Paths ca_paths, paths;

    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') || strcmp(name, "ca") == 0)
        return ina_error_set(error, EINVAL, "\"%s\" cannot be the name of a certificate: it becomes NAME.pem", name);
    if (n_addresses > PKI_ADDRESSES_MAX)
        return ina_error_set(error, EINVAL, "certificate %s: %zu addresses, at most %u are allowed", name, n_addresses,
                             PKI_ADDRESSES_MAX);
    int lock = lock_folder(folder, error);
    if (lock < 0)
        return lock;
    int r = make_paths(folder, "ca", &ca_paths, error);
    if (r == 0) {
        r = make_paths(folder, name, &paths, error);
        if (r == 0) {
            r = ensure_certificate(&ca_paths, &paths, &request, error);
            free_paths(&paths);
        }
        free_paths(&ca_paths);
    }
    close(lock);
    return r;
}

/* --- tokens --------------------------------------------------------------------------------- */

static int check_token(const char *path, char *text, size_t size, InaError *error)
{
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        text[--size] = '\0';
    bool visible = true;
    for (size_t i = 0; i < size; i++)
        visible = visible && text[i] > ' ' && text[i] < 0x7f;
    if (size < 16 || size > TOKEN_MAX || !visible)
        return ina_error_set(error, EINVAL,
                             "%s: not a token (16 to %u visible ASCII characters); remove it to get a new one", path,
                             TOKEN_MAX);
    return 0;
}

int pki_ensure_token(const char *path, size_t bytes, char **ret, InaError *error)
{
    char *text;
    size_t size;
    int r;

    if (bytes < 16 || bytes > TOKEN_MAX / 2)
        return ina_error_set(error, EINVAL, "%s: a token of %zu bytes: 16 to %u are allowed", path, bytes,
                             TOKEN_MAX / 2);
    if (access(path, F_OK) == 0) {
        r = check_private_file(path, error);
        if (r == 0)
            r = file_read(path, TOKEN_MAX + 2, &text, &size, error);
        if (r < 0)
            return r;
        r = check_token(path, text, size, error);
    } else {
        text = malloc(2 * bytes + 2);
        if (!text)
            return ina_error_errno(error, ENOMEM, "%s", path);
        r = certificate_random_hex(bytes, text, error);
        if (r == 0) {
            text[2 * bytes] = '\n';
            r = file_write(path, text, 2 * bytes + 1, 0600, error);
            text[2 * bytes] = '\0';
        }
    }
    if (r < 0) {
        free(text);
        return r;
    }
    *ret = text;
    return 0;
}

int token_read(const char *path, char **ret, InaError *error)
{
    char *text = NULL;

    if (path) {
        int r = file_read(path, TOKEN_FILE_MAX, &text, NULL, error);
        if (r < 0)
            return ina_error_wrap(error, "token");
        text[strcspn(text, "\r\n")] = '\0';
        size_t length = strlen(text);
        if (length < TOKEN_MIN) {
            free(text);
            return ina_error_set(error, EINVAL, "token: %s has %zu characters, at least %u are needed", path, length,
                                 TOKEN_MIN);
        }
    }
    *ret = text;
    return 0;
}
