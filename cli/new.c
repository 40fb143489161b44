/* new.c - `inaetics new bundle`: a small complete project to begin with. */
#include "cli.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "cli/new/templates.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUNDLE_NAME_MAX 40u

/* The files of a bundle: template, name in the project, mode. */
static const struct {
    const char *template, *file;
    mode_t mode;
} bundle_files[] = {
    {"bundle.c", "%name%.c", 0644},           {"bundle.proto", "%name%.proto", 0644}, {"gitignore", ".gitignore", 0644},
    {"meson.build", "meson.build", 0644},     {"README.md", "README.md", 0644},       {"test", "test", 0755},
    {"try-bundle.py", "try-bundle.py", 0755}, {"unit-test.c", "unit-test.c", 0644},
};

/* What the templates are filled in with (cli/new/templates.h). */
typedef struct Names {
    char name[BUNDLE_NAME_MAX + 1];
    char ident[BUNDLE_NAME_MAX + 1];
    char upper[BUNDLE_NAME_MAX + 1];
    char type[BUNDLE_NAME_MAX + 1];
    char service[2 * BUNDLE_NAME_MAX + 1];
    char sdk[PATH_MAX];
} Names;

/* --- names ------------------------------------------------------------------ */

/* What Meson keeps for itself as names of targets. */
static bool is_reserved(const char *name)
{
    static const char *const reserved[] = {
        "all",   "benchmark", "clean",     "contract",    "coverage",  "dist",   "distcheck",  "install",
        "phony", "test",      "uninstall", "reconfigure", "unit-test", "bundle", "scan-build", "inaetics",
    };
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    return false;
}

static bool check_bundle_name(const char *name)
{
    size_t length = strlen(name);
    bool right = length > 0 && length <= BUNDLE_NAME_MAX && name[0] >= 'a' && name[0] <= 'z' && !strstr(name, "--") &&
                 name[length - 1] != '-' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
    if (!right)
        cli_fail(
            "a bundle's name has small letters, digits and single hyphens, begins with a letter and has at most %u "
            "characters, as in \"my-sensor\"; \"%.60s\" does not",
            BUNDLE_NAME_MAX, name);
    else if (is_reserved(name))
        cli_fail("the build needs the name \"%s\" for itself; take another one", name);
    return right && !is_reserved(name);
}

/* As the generator of contracts and protoc-c make them. */
static void make_names(const char *name, Names *ret)
{
    size_t type = 0, service = 0;
    bool first = true;
    snprintf(ret->name, sizeof ret->name, "%s", name);
    for (size_t i = 0; name[i]; i++) {
        ret->ident[i] = name[i] == '-' ? '_' : name[i];
        ret->upper[i] = (char)toupper((unsigned char)ret->ident[i]);
        if (name[i] != '-')
            ret->type[type++] = first ? (char)toupper((unsigned char)name[i]) : name[i];
        first = name[i] == '-';
    }
    for (size_t i = 0; i < type; i++) {
        if (i > 0 && isupper((unsigned char)ret->type[i]) && !isupper((unsigned char)ret->type[i - 1]))
            ret->service[service++] = '_';
        ret->service[service++] = (char)tolower((unsigned char)ret->type[i]);
    }
}

/* The folder with inaetics.pc, of the build or the installation that this program is of. */
static bool find_sdk(char ret[PATH_MAX])
{
    static const struct {
        const char *folder, *file;
    } places[] = {{"../meson-uninstalled", "inaetics-uninstalled.pc"}, {"../" INAETICS_PKGCONFIG, "inaetics.pc"}};
    char self[PATH_MAX], path[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return false;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/%s", self, places[i].folder);
        AUTO_FREE char *folder = realpath(path, NULL);
        AUTO_FREE char *file = folder ? path_join(folder, places[i].file) : NULL;
        if (file && access(file, R_OK) == 0 && strlen(folder) < PATH_MAX) {
            strcpy(ret, folder);
            return true;
        }
    }
    return false;
}

/* --- files ------------------------------------------------------------------ */

/* The value of the word at *text, which is moved behind it; NULL: there is none. */
static const char *word_at(const Names *names, const char **text)
{
    const struct {
        const char *word, *value;
    } words[] = {
        {"%name%", names->name}, {"%ident%", names->ident},     {"%IDENT%", names->upper}, {"%CONFIG%", names->upper},
        {"%Type%", names->type}, {"%service%", names->service}, {"%sdk%", names->sdk},
    };
    for (size_t i = 0; **text == '%' && i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (strncmp(*text, words[i].word, length) == 0) {
            *text += length;
            return words[i].value;
        }
    }
    return NULL;
}

/* malloc'ed; NULL: out of memory. */
static char *fill_in(const Names *names, const char *text)
{
    char *filled = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&filled, &size);
    if (!stream)
        return NULL;
    while (*text) {
        const char *value = word_at(names, &text);
        if (value)
            fputs(value, stream);
        else
            fputc(*text++, stream);
    }
    if (fclose(stream) == 0)
        return filled;
    free(filled);
    return NULL;
}

static const char *find_template(const char *name)
{
    for (const Template *template = templates; template->name; template ++)
        if (strcmp(template->name, name) == 0)
            return template->text;
    return NULL;
}

static int write_files(const Names *names, const char *folder, InaError *error)
{
    int r = folder_make(folder, 0755, error);
    for (size_t i = 0; r == 0 && i < sizeof bundle_files / sizeof *bundle_files; i++) {
        const char *template = find_template(bundle_files[i].template);
        AUTO_FREE char *name = fill_in(names, bundle_files[i].file), *path = name ? path_join(folder, name) : NULL,
                       *text = template ? fill_in(names, template) : NULL;
        r = path && text ? file_write(path, text, strlen(text), bundle_files[i].mode, error)
                         : ina_error_set(error, ENOMEM, "out of memory");
    }
    return r;
}

/* Nothing of the user's is overwritten. */
static bool check_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    int code = errno;
    if (!directory && code == ENOENT)
        return true;
    if (!directory) {
        cli_fail("%s: %s", folder, strerror(code));
        return false;
    }
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(directory));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(directory);
    if (!empty)
        cli_fail("there is something in %s already; take another folder with --directory, or empty it", folder);
    return empty;
}

static int new_bundle(const char *name, const char *folder)
{
    Names names = {0};
    InaError error = {0};
    if (!check_bundle_name(name) || !check_folder(folder))
        return CLI_FAILED;
    make_names(name, &names);
    if (!find_sdk(names.sdk))
        return cli_fail("this inaetics has no inaetics.pc, which says what bundles are built with: it is neither in a "
                        "build folder nor installed whole (meson install)");
    if (strpbrk(names.sdk, "\"$`\\\n"))
        return cli_fail("the folder %s, where Inaetics is, cannot stand in a script: it has one of \" $ ` \\",
                        names.sdk);
    if (write_files(&names, folder, &error) < 0)
        return cli_fail("%s", error.message);
    printf("%s/ has a bundle with a service, its tests and a README. Now\n"
           "\n"
           "  cd %s && ./test    builds %s.zip into build/ and tests it\n",
           folder, folder, name);
    return CLI_OK;
}

int command_new(const Arguments *arguments, Instance *instance)
{
    const char *name = arguments->items[1];
    if (strcmp(arguments->items[0], "bundle") != 0)
        return cli_fail("there is no new \"%s\"; there is: inaetics new bundle NAME", arguments->items[0]);
    return new_bundle(name, arguments->directory ? arguments->directory : name);
}
