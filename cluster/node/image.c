#include "image.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/map.h"
#include "cluster/instance.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define NAME_MAX_LENGTH 512u

struct Images {
    char *folders[IMAGE_FOLDERS_MAX];
    size_t count;
};

typedef struct ImageFile {
    JsonList entrypoint, command;
    json_t *environment;
    char *working_directory;
} ImageFile;

static const JsonField image_fields[] = {
    {.name = "entrypoint", .type = JSON_TYPE_STRINGS, .offset = offsetof(ImageFile, entrypoint)},
    {.name = "cmd", .type = JSON_TYPE_STRINGS, .offset = offsetof(ImageFile, command)},
    {.name = "env", .type = JSON_TYPE_ANY, .offset = offsetof(ImageFile, environment)},
    {.name = "workingDir", .type = JSON_TYPE_STRING, .offset = offsetof(ImageFile, working_directory)},
    {.name = NULL},
};

/* --- where to look ---------------------------------------------------------------- */

Images *images_new(void)
{
    return calloc(1, sizeof(Images));
}

int images_add(Images *images, const char *folder, InaError *error)
{
    if (images->count == IMAGE_FOLDERS_MAX)
        return ina_error_set(error, E2BIG, "%s: %u folders of images at most", folder, IMAGE_FOLDERS_MAX);
    char *real = realpath(folder, NULL);
    if (!real && !(real = strdup(folder))) /* it may be made later */
        return ina_error_set(error, ENOMEM, "out of memory");
    images->folders[images->count++] = real;
    return 0;
}

int images_add_standard(Images *images, InaError *error)
{
    static const char *const beside[] = {"../cluster/images", "../share/inaetics/images"};
    const char *given = getenv("INAETICS_IMAGES");
    AUTO_FREE char *list = strdup(given ? given : "");
    char self[PATH_MAX], *position = NULL;
    int r = list ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    for (char *at = list ? strtok_r(list, ":", &position) : NULL; at && r == 0; at = strtok_r(NULL, ":", &position))
        r = images_add(images, at, error);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return r;
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    *slash = '\0';
    for (size_t i = 0; r == 0 && i < sizeof beside / sizeof *beside; i++) {
        AUTO_FREE char *path = path_join(self, beside[i]), *real = path ? realpath(path, NULL) : NULL;
        if (real)
            r = images_add(images, real, error);
    }
    return r;
}

Images *images_free(Images *images)
{
    for (size_t i = 0; images && i < images->count; i++)
        free(images->folders[i]);
    free(images);
    return NULL;
}

/* --- names ---------------------------------------------------------------------------- */

/* Nothing that leads out of the folder. */
static bool is_path(const char *text)
{
    if (text[0] == '\0' || text[0] == '/' || strlen(text) > NAME_MAX_LENGTH)
        return false;
    for (const char *at = text; at;) {
        size_t length = strcspn(at, "/");
        if (length == 0 || at[0] == '.' ||
            strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:") < length)
            return false;
        at = at[length] == '/' ? at + length + 1 : NULL;
    }
    return true;
}

/* "registry:5000/inaetics/agent:1.2@sha256:..." -> "registry:5000/inaetics/agent", "1.2". */
static int split(const char *name, char **ret_path, char **ret_tag, InaError *error)
{
    AUTO_FREE char *path = strndup(name, strcspn(name, "@"));
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    char *slash = strrchr(path, '/'), *colon = strchr(slash ? slash : path, ':');
    if (colon)
        *colon = '\0';
    const char *tag = colon ? colon + 1 : "latest";
    if (!is_path(path) || !is_path(tag) || strchr(tag, '/'))
        return ina_error_set(error, EINVAL, "\"%s\" is no name of an image; one is \"inaetics/agent:1.2\"", name);
    if (!(*ret_tag = strdup(tag)))
        return ina_error_set(error, ENOMEM, "out of memory");
    *ret_path = TAKE_PTR(path);
    return 0;
}

/* The name without the registry, which says where an image is fetched from: none is fetched here. */
static const char *without_registry(const char *path)
{
    const char *slash = strchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    bool registry = length > 0 && (memchr(path, '.', length) || memchr(path, ':', length) ||
                                   (length == 9 && memcmp(path, "localhost", 9) == 0));
    return registry ? slash + 1 : path;
}

/* --- reading ---------------------------------------------------------------------------- */

void image_clear(Image *image)
{
    JsonList *lists[] = {&image->entrypoint, &image->command, &image->environment};
    for (size_t l = 0; l < 3; l++) {
        char **items = lists[l]->items;
        for (size_t i = 0; i < lists[l]->count; i++)
            free(items[i]);
        free(items);
    }
    free(image->folder);
    free(image->working_directory);
    *image = (Image){0};
}

static int take_environment(const json_t *json, Image *ret, InaError *error)
{
    const char *name;
    json_t *value;
    if (json && !json_is_object(json))
        return ina_error_set(error, EINVAL, "env: must be an object of strings");
    char **items = calloc(json_object_size(json) + 1, sizeof *items);
    if (!items)
        return ina_error_set(error, ENOMEM, "out of memory");
    ret->environment.items = items;
    json_object_foreach((json_t *)json, name, value)
    {
        if (!json_is_string(value) || name[0] == '\0' || strchr(name, '='))
            return ina_error_set(error, EINVAL, "env: \"%s\" must be a name and have a string", name);
        if (asprintf(&items[ret->environment.count], "%s=%s", name, json_string_value(value)) < 0)
            return ina_error_set(error, ENOMEM, "out of memory");
        ret->environment.count++;
    }
    return 0;
}

static int read_image(const char *folder, const char *text, size_t size, Image *ret, InaError *error)
{
    AUTO_JSON json_t *json = NULL;
    ImageFile file = {0};
    int r = json_parse(text, size, IMAGE_FILE_MAX, &json, error);
    if (r < 0 || (r = json_decode(json, image_fields, &file, error)) < 0)
        return r;
    Image image = {.folder = strdup(folder), .entrypoint = file.entrypoint, .command = file.command};
    file.entrypoint = file.command = (JsonList){0};
    r = image.folder ? take_environment(file.environment, &image, error)
                     : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0 && file.working_directory) {
        image.working_directory = file.working_directory[0] == '/' ? strdup(file.working_directory)
                                                                   : path_join(folder, file.working_directory);
        if (!image.working_directory)
            r = ina_error_set(error, ENOMEM, "out of memory");
    }
    json_clear(image_fields, &file);
    if (r < 0) {
        image_clear(&image);
        return r;
    }
    *ret = image;
    return 0;
}

static int try_folder(const char *folder, const char *path, const char *tag, Image *ret, InaError *error)
{
    AUTO_FREE char *image = NULL, *file = NULL, *text = NULL;
    size_t size;
    if (asprintf(&image, "%s/%s/%s", folder, path, tag) < 0)
        image = NULL;
    if (!image || !(file = path_join(image, "image.json")))
        return ina_error_set(error, ENOMEM, "out of memory");
    if (access(file, F_OK) < 0)
        return -ENOENT;
    int r = file_read(file, IMAGE_FILE_MAX, &text, &size, error);
    if (r < 0)
        return r;
    return read_image(image, text, size, ret, error) < 0 ? ina_error_wrap(error, "%s", file) : 0;
}

int images_find(const Images *images, const char *name, Image *ret, InaError *error)
{
    AUTO_FREE char *path = NULL, *tag = NULL;
    Buffer looked = {0};
    int r = split(name, &path, &tag, error);
    if (r < 0)
        return r;
    const char *plain = without_registry(path);
    for (size_t i = 0; i < images->count; i++) {
        r = try_folder(images->folders[i], path, tag, ret, error);
        if (r == -ENOENT && plain != path)
            r = try_folder(images->folders[i], plain, tag, ret, error);
        if (r != -ENOENT) {
            buffer_free(&looked);
            return r;
        }
        buffer_print(&looked, "%s%s/%s/%s/image.json", i ? ", " : "", images->folders[i], plain, tag);
    }
    ina_error_set(error, ENOENT, "there is no image folder for it; looked for %s",
                  looked.size && !looked.failed ? looked.data : "nothing, since no folder of images is known");
    buffer_free(&looked);
    return -ENOENT;
}

int image_find_program(const Image *image, const char *name, char **ret, InaError *error)
{
    if (name[0] == '/') {
        *ret = strdup(name);
        return *ret ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    }
    AUTO_FREE char *path = image ? path_join(image->folder, name) : NULL;
    if (path && access(path, X_OK) == 0) {
        *ret = TAKE_PTR(path);
        return 0;
    }
    if (strchr(name, '/'))
        return ina_error_set(error, ENOENT, "%s: there is no such program in %s", name,
                             image ? image->folder : "an image");
    return program_find(name, ret, error);
}
