/* archive_write.c - from files to a zip. For programs that pack: they alone link libzip. */
#include "archive_internal.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

/* The error for one of libzip. */
static int failed(InaError *error, const zip_error_t *why, const char *what)
{
    zip_error_t copy; /* what zip_error_strerror makes belongs to its argument */

    zip_error_init(&copy);
    zip_error_set(&copy, why->zip_err, why->sys_err);
    (void)ina_error_set(error, EINVAL, "%s: %s", what, zip_error_strerror(&copy));
    zip_error_fini(&copy);
    return -EINVAL;
}

static int add_item(zip_t *zip, const ArchiveItem *item, InaError *error)
{
    zip_source_t *source = zip_source_buffer(zip, item->data, item->size, 0);
    if (!source)
        return failed(error, zip_get_error(zip), item->name);
    zip_int64_t index = zip_file_add(zip, item->name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(source);
        return failed(error, zip_get_error(zip), item->name);
    }
    zip_uint64_t at = (zip_uint64_t)index;
    /* 1980-01-01, the first day of zips: the time of packing is not content. */
    if (zip_file_set_dostime(zip, at, 0, 1 << 5 | 1, 0) < 0 ||
        zip_set_file_compression(zip, at, item->stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 9) < 0 ||
        zip_file_set_external_attributes(zip, at, 0, ZIP_OPSYS_UNIX, (zip_uint32_t)(S_IFREG | 0644) << 16) < 0)
        return failed(error, zip_get_error(zip), item->name);
    return 0;
}

int archive_write(const char *path, const ArchiveItem *items, size_t n_items, InaError *error)
{
    for (size_t i = 0; i < n_items; i++) {
        int r = archive_check_name(items[i].name, strlen(items[i].name), error);
        if (r < 0)
            return r;
    }
    int why;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);
    if (!zip) {
        zip_error_t failure;
        zip_error_init_with_code(&failure, why);
        int r = ina_error_set(error, EIO, "cannot make %s: %s", path, zip_error_strerror(&failure));
        zip_error_fini(&failure);
        return r;
    }
    int r = 0;
    for (size_t i = 0; i < n_items && r == 0; i++)
        r = add_item(zip, &items[i], error);
    if (r == 0 && zip_close(zip) < 0)
        r = failed(error, zip_get_error(zip), path);
    else if (r == 0)
        return 0;
    zip_discard(zip);
    return r;
}
