#include "bundle_tool.h"
#include "base/option.h"
#include "resolver.h"
#include "revision.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char bundle_tool_usage[] =
    "pack OUTPUT.zip --name NAME --version VERSION --library LIBRARY.so [OPTION...]\n"
    "inspect BUNDLE.zip\n"
    "verify BUNDLE.zip...    whether they are sound and, together, could be started here\n"
    "\n"
    "Options of pack:\n"
    "  --file NAME=PATH      adds a file, or a folder with all that is in it, as NAME\n"
    "  --provide CLAUSE      adds to Provide-Capability, as in 'acme.sensor;range:Long=\"5\"'\n"
    "  --require CLAUSE      adds to Require-Capability, as in 'acme.sensor;filter:=\"(range>=3)\"'\n"
    "  --header 'NAME: VALUE'  adds a header to the manifest\n"
    "  --unloaded            does not load the library (for another machine): no capabilities from it, and no\n"
    "                        contracts (--file META-INF/contracts/NAME.binpb=FILE adds one that protoc wrote)\n";

/* --- inspect -------------------------------------------------------------- */

/* A header of clauses, one a line. */
static void print_header(FILE *output, const char *name, const char *value)
{
    bool quoted = false;

    fprintf(output, "%s: ", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\\' && quoted && p[1])
            fputc(*p++, output);
        else if (*p == '"')
            quoted = !quoted;
        fputc(*p, output);
        if (*p == ',' && !quoted)
            fprintf(output, "\n  ");
    }
    fputc('\n', output);
}

int bundle_inspect(const char *zip, FILE *output, InaError *error)
{
    Archive *archive;
    const char *name, *value;

    int r = archive_open(zip, &archive, error);
    if (r < 0)
        return r;
    const Manifest *manifest = archive_manifest(archive);
    for (size_t i = 0; i < manifest_count(manifest); i++) {
        manifest_at(manifest, i, &name, &value);
        print_header(output, name, value);
    }
    fprintf(output, "\nContents %s\n", archive_digest(archive));
    for (size_t i = 0; i < archive_count(archive); i++) {
        const ArchiveEntry *entry = archive_at(archive, i);
        if (!entry->folder)
            fprintf(output, "%10llu  %s\n", (unsigned long long)entry->size, entry->name);
    }
    archive_free(archive);
    return 0;
}

/* --- verify --------------------------------------------------------------- */

static int verify_one(const char *zip, Description **ret, InaError *error)
{
    Archive *archive;
    Description *description = NULL;

    int r = archive_open(zip, &archive, error);
    if (r < 0)
        return r;
    r = description_new(archive_manifest(archive), &description, error);
    if (r == 0)
        r = revision_check(archive, description, error);
    archive_free(archive);
    if (r < 0) {
        description_free(description);
        return ina_error_wrap(error, "%s", zip);
    }
    *ret = description;
    return 0;
}

static int resolve(const char *const *zips, Description *const *descriptions, size_t n_zips, FILE *output,
                   InaError *error)
{
    Candidate *candidates = calloc(n_zips, sizeof *candidates);
    Description *framework = NULL;
    size_t unresolved = 0;

    int r = candidates ? description_of(FRAMEWORK_CAPABILITIES, &framework, error)
                       : ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < n_zips; i++)
        candidates[i].description = descriptions[i];
    if (r == 0)
        r = resolver_resolve(framework, candidates, n_zips, error);
    for (size_t i = 0; r == 0 && i < n_zips; i++) {
        fprintf(output, "%s: %s %s, ", zips[i], descriptions[i]->name, descriptions[i]->version_text);
        if (candidates[i].resolved)
            fprintf(output, "sound\n");
        else
            fprintf(output, "sound, but misses here: %s\n", candidates[i].missing);
        unresolved += !candidates[i].resolved;
    }
    if (r == 0)
        candidates_clear(candidates, n_zips);
    description_free(framework);
    free(candidates);
    if (r == 0 && unresolved > 0)
        r = ina_error_set(error, ENOEXEC, "%zu of %zu bundles could not be started here", unresolved, n_zips);
    return r;
}

int bundle_verify(const char *const *zips, size_t n_zips, FILE *output, InaError *error)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
    Description **descriptions = calloc(n_zips + 1, sizeof *descriptions);
    int r = descriptions ? 0 : ina_error_set(error, ENOMEM, "out of memory");

    for (size_t i = 0; r == 0 && i < n_zips; i++)
        r = verify_one(zips[i], &descriptions[i], error);
    if (r == 0)
        r = resolve(zips, descriptions, n_zips, output, error);
    for (size_t i = 0; descriptions && i < n_zips; i++)
        description_free(descriptions[i]);
    free(descriptions);
    return r;
}

/* --- the command ---------------------------------------------------------- */

/* The values of an option that may be given several times. */
typedef struct Values {
    const char **items;
    size_t count;
} Values;

typedef struct PackArguments {
    BundlePack pack;
    Values files, provides, requires, headers;
} PackArguments;

static const struct option pack_options[] = {
    {"name", required_argument, NULL, 'n'},
    {"version", required_argument, NULL, 'v'},
    {"library", required_argument, NULL, 'l'},
    {"file", required_argument, NULL, 'f'},
    {"provide", required_argument, NULL, 'p'},
    {"require", required_argument, NULL, 'r'},
    {"header", required_argument, NULL, 'h'},
    {"unloaded", no_argument, NULL, 'u'},
    {NULL, 0, NULL, 0},
};

static int take_option(PackArguments *arguments, int option, InaError *error)
{
    BundlePack *pack = &arguments->pack;
    Values *values = NULL;

    switch (option) {
    case 'n':
        pack->name = optarg;
        return 0;
    case 'v':
        pack->version = optarg;
        return 0;
    case 'l':
        pack->library = optarg;
        return 0;
    case 'u':
        pack->unloaded = true;
        return 0;
    case 'f':
        values = &arguments->files;
        break;
    case 'p':
        values = &arguments->provides;
        break;
    case 'r':
        values = &arguments->requires
        ;
        break;
    case 'h':
        values = &arguments->headers;
        break;
    default:
        return ina_error_wrap(error, "pack"); /* option_next said what is wrong */
    }
    values->items[values->count++] = optarg;
    return 0;
}

static int parse_pack(int argc, char *const *argv, PackArguments *arguments, InaError *error)
{
    BundlePack *pack = &arguments->pack;
    int option;

    optind = 0; /* also forgets a scan before */
    while ((option = option_next(argc, argv, "", pack_options, error)) != -1) {
        int r = take_option(arguments, option, error);
        if (r < 0)
            return r;
    }
    if (optind != argc - 1)
        return ina_error_set(error, EINVAL, "pack: one output file must be named");
    pack->output = argv[optind];
    if (!pack->name || !pack->version || !pack->library)
        return ina_error_set(error, EINVAL, "pack: --%s is missing",
                             !pack->name      ? "name"
                             : !pack->version ? "version"
                                              : "library");
    pack->files = arguments->files.items;
    pack->n_files = arguments->files.count;
    pack->provides = arguments->provides.items;
    pack->n_provides = arguments->provides.count;
    pack->requires = arguments->requires.items;
    pack->n_requires = arguments->requires.count;
    pack->headers = arguments->headers.items;
    pack->n_headers = arguments->headers.count;
    return 0;
}

static int run_pack(int argc, char *const *argv, InaError *error)
{
    PackArguments arguments = {0};
    Values *const lists[] = {&arguments.files, &arguments.provides, &arguments.requires, &arguments.headers};
    /* None has more values than there are arguments; getopt reorders a copy. */
    const char **values = calloc((size_t)argc * 4 + 1, sizeof *values);
    char **copy = calloc((size_t)argc + 1, sizeof *copy);

    int r = values && copy ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0) {
        for (size_t i = 0; i < 4; i++)
            lists[i]->items = values + i * (size_t)argc;
        memcpy(copy, argv, (size_t)argc * sizeof *copy);
        r = parse_pack(argc, copy, &arguments, error);
    }
    if (r == 0)
        r = bundle_pack(&arguments.pack, error);
    free(values);
    free(copy);
    return r;
}

int bundle_tool(int argc, char *const *argv, FILE *output, InaError *error)
{
    const char *command = argc > 0 ? argv[0] : "";

    if (strcmp(command, "pack") == 0)
        return run_pack(argc, argv, error);
    if (strcmp(command, "inspect") == 0 && argc == 2)
        return bundle_inspect(argv[1], output, error);
    if (strcmp(command, "verify") == 0 && argc >= 2)
        return bundle_verify((const char *const *)argv + 1, (size_t)argc - 1, output, error);
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0) {
        fputs(bundle_tool_usage, output);
        return 0;
    }
    return ina_error_set(error, EINVAL, "'%.40s' with %d arguments; right would be:\n%s", command,
                         argc > 0 ? argc - 1 : 0,
                         "pack OUTPUT.zip ..., inspect BUNDLE.zip, verify BUNDLE.zip..., help");
}
