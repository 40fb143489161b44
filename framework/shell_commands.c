/* shell_commands.c - the framework's own commands. */
#include "base/log.h"
#include "registry.h"
#include "shell_internal.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LOG_DEFAULT_COUNT 20u

static int parse_number(const char *text, long long minimum, long long maximum, long long *ret)
{
    char *end;

    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < minimum || number > maximum)
        return -EINVAL;
    *ret = number;
    return 0;
}

/* By number or symbolic name. */
static int find_bundle(const Shell *shell, const char *text, Bundle **ret, InaError *error)
{
    long long id;
    Bundle *bundle = parse_number(text, 1, INT64_MAX, &id) == 0 ? framework_bundle(shell->framework, id)
                                                                : framework_bundle_named(shell->framework, text);
    if (!bundle)
        return ina_error_set(error, ENOENT, "there is no bundle '%.100s'; 'lb' lists those there are", text);
    *ret = bundle;
    return 0;
}

static double seconds_since(uint64_t when)
{
    uint64_t now = ina_now();
    return now > when ? (double)(now - when) / 1e9 : 0;
}

/* --- bundles --------------------------------------------------------------- */

static int run_lb(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    const Bundles *bundles = ((Shell *)self)->framework->bundles;

    ina_shell_print(output, "%4s  %-10s %-12s %s\n", "No.", "State", "Version", "Name");
    for (size_t i = 0; i < bundles->n_bundles; i++)
        ina_shell_print(output, "%4lld  %-10s %-12s %s\n", (long long)bundles->list[i]->id,
                        bundle_state_name(bundles->list[i]->state), bundle_version(bundles->list[i]),
                        bundle_name(bundles->list[i]));
    return 0;
}

static void print_component(void *userdata, const ComponentInfo *info)
{
    ina_shell_print(userdata, info->reason && *info->reason ? "%4lld  %-14s %-24s %s\n" : "%4lld  %-14s %s\n",
                    (long long)info->bundle_id, component_state_name(info->state), info->component, info->reason);
}

static void print_wires(const Bundle *bundle, const Candidate *candidate, InaShellOutput *output)
{
    const Description *description = bundle->revision->description;
    const Bundles *bundles = bundle->framework->bundles;

    for (size_t i = 0; i < description->n_requirements; i++) {
        const Requirement *requirement = &description->requirements[i];
        int wire = candidate->wires[i];
        ina_shell_print(output, "  requires %s%s%s: %s\n", requirement->space, requirement->filter ? " " : "",
                        requirement->filter ? requirement->filter : "",
                        wire >= 0                    ? bundle_name(bundles->list[wire])
                        : wire == RESOLVER_FRAMEWORK ? "the framework"
                        : !requirement->resolving    ? "looked for at run time"
                        : requirement->optional      ? "nobody, but optional"
                                                     : "missing");
    }
}

static int run_bundle(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    Candidate candidate = {0};
    Bundle *bundle;

    int r = find_bundle(self, argv[1], &bundle, error);
    if (r == 0)
        r = bundle_explain(bundle, &candidate, error);
    if (r < 0)
        return r;
    ina_shell_print(output, "%s %s, number %lld\n", bundle_name(bundle), bundle_version(bundle), (long long)bundle->id);
    ina_shell_print(output, "  %s for %.1f s, %s with the framework\n", bundle_state_name(bundle->state),
                    seconds_since(bundle->since), bundle->autostart ? "started" : "not started");
    ina_shell_print(output, "  contents %s\n  files %s\n", bundle->revision->digest, bundle->revision->folder);
    print_wires(bundle, &candidate, output);
    if (candidate.missing)
        ina_shell_print(output, "  misses: %s\n", candidate.missing);
    if (bundle->problem[0])
        ina_shell_print(output, "  last problem: %s\n", bundle->problem);
    if (bundle->set)
        components_each_of(bundle->set, print_component, output);
    candidates_clear(&candidate, 1);
    return 0;
}

static int run_install(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    Bundle *bundle;

    int r = framework_install(((Shell *)self)->framework, argv[1], &bundle, error);
    if (r == 0)
        ina_shell_print(output, "%s %s is number %lld\n", bundle_name(bundle), bundle_version(bundle),
                        (long long)bundle->id);
    return r;
}

static int run_start(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    Bundle *bundle;

    int r = find_bundle(self, argv[1], &bundle, error);
    if (r == 0)
        r = bundle_start(bundle, error);
    if (r == 0 && bundle->set)
        components_each_of(bundle->set, print_component, output);
    return r;
}

static int run_stop(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    Bundle *bundle;

    int r = find_bundle(self, argv[1], &bundle, error);
    return r < 0 ? r : bundle_stop(bundle, error);
}

static int run_update(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    char before[VERSION_TEXT_MAX];
    Bundle *bundle;

    int r = find_bundle(self, argv[1], &bundle, error);
    if (r < 0)
        return r;
    strcpy(before, bundle_version(bundle));
    r = bundle_update(bundle, argv[2], error);
    if (r < 0)
        return r;
    ina_shell_print(output, "%s: from %s to %s\n", bundle_name(bundle), before, bundle_version(bundle));
    if (bundle->set)
        components_each_of(bundle->set, print_component, output);
    return 0;
}

static int run_uninstall(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    Bundle *bundle;

    int r = find_bundle(self, argv[1], &bundle, error);
    return r < 0 ? r : bundle_uninstall(bundle, error);
}

/* --- components and services ----------------------------------------------- */

static int run_components(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    ina_shell_print(output, "%4s  %-14s %-24s %s\n", "No.", "State", "Component", "Why it is not active");
    components_each(((Shell *)self)->framework, print_component, output);
    return 0;
}

static void print_value(InaShellOutput *output, const InaValue *value)
{
    switch (value->type) {
    case INA_TYPE_STRING:
        ina_shell_print(output, "%s", value->string);
        break;
    case INA_TYPE_INTEGER:
        ina_shell_print(output, "%lld", (long long)value->integer);
        break;
    case INA_TYPE_DOUBLE:
        ina_shell_print(output, "%g", value->real);
        break;
    case INA_TYPE_BOOLEAN:
        ina_shell_print(output, "%s", value->boolean ? "true" : "false");
        break;
    case INA_TYPE_STRINGS:
    default:
        for (size_t i = 0; i < value->strings.count; i++)
            ina_shell_print(output, "%s%s", i > 0 ? "," : "", value->strings.items[i]);
        break;
    }
}

static void print_service(void *userdata, ServiceEntry *entry)
{
    InaShellOutput *output = userdata;
    const InaProperties *properties = registry_properties(entry);
    ServiceInfo info;

    registry_info(entry, &info);
    ina_shell_print(output, "%4lld  %-36s %-8s %zu users", (long long)info.id, info.name,
                    info.remote     ? "remote"
                    : info.exported ? "exported"
                                    : "local",
                    info.users);
    if (info.bundle && *info.bundle)
        ina_shell_print(output, ", by %s of %s", info.component, info.bundle);
    ina_shell_print(output, "%s%s\n", info.suspect ? ", suspect" : "", info.suspended ? ", suspended" : "");
    for (size_t i = 0; i < ina_properties_count(properties); i++) {
        const InaProperty *property = ina_properties_at(properties, i);
        ina_shell_print(output, "        %s = ", property->key);
        print_value(output, &property->value);
        ina_shell_print(output, "\n");
    }
}

static int run_services(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    registry_each(((Shell *)self)->framework, argc > 1 ? argv[1] : NULL, print_service, output);
    return 0;
}

/* --- log ------------------------------------------------------------------- */

static void print_line(void *userdata, const char *line)
{
    ina_shell_print(userdata, "%s\n", line);
}

static int set_level(const Shell *shell, const char *text, const char *which, InaError *error)
{
    InaLogLevel level = 0;
    Bundle *bundle = NULL;

    if (strcmp(text, "default") != 0 && ina_log_level_from_name(text, &level) < 0)
        return ina_error_set(error, EINVAL,
                             "'%.40s' is neither a number of records (1 to %u) nor a level (error, warning, notice, "
                             "info, debug, or default for a bundle)",
                             text, LOG_RECORDS_MAX);
    if (which) {
        int r = find_bundle(shell, which, &bundle, error);
        return r < 0 ? r : logs_set_level(shell->framework->bundles->logs, bundle->id, level, error);
    }
    if (level == 0)
        return ina_error_set(error, EINVAL, "'default' is for a bundle: log default BUNDLE");
    log_set_level(level);
    return 0;
}

static int run_log(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    const Shell *shell = self;
    long long count = LOG_DEFAULT_COUNT;

    if (argc > 2 || (argc == 2 && parse_number(argv[1], 1, LOG_RECORDS_MAX, &count) < 0))
        return set_level(shell, argv[1], argc > 2 ? argv[2] : NULL, error);
    logs_last(shell->framework->bundles->logs, (size_t)count, print_line, output);
    return 0;
}

/* --- configuration --------------------------------------------------------- */

typedef struct ConfigPrint {
    InaShellOutput *output;
    const char *key; /* NULL: all */
    bool found;
} ConfigPrint;

static const char *type_name(InaType type)
{
    switch (type) {
    case INA_TYPE_STRING:
        return "string";
    case INA_TYPE_INTEGER:
        return "integer";
    case INA_TYPE_DOUBLE:
        return "number";
    case INA_TYPE_BOOLEAN:
        return "true or false";
    case INA_TYPE_STRINGS:
    default:
        return "list";
    }
}

static void print_config(void *userdata, const InaConfig *config, const char *value, const char *source)
{
    ConfigPrint *print = userdata;

    if (print->key && strcmp(print->key, config->key) != 0)
        return;
    print->found = true;
    ina_shell_print(print->output, "%s = %s  (%s; %s", config->key, value ? value : "", source ? source : "",
                    type_name(config->type));
    if (config->minimum < config->maximum)
        ina_shell_print(print->output, " from %.17g to %.17g", config->minimum, config->maximum);
    ina_shell_print(print->output, ")\n    %s\n", config->description ? config->description : "");
}

static void print_component_name(void *userdata, const ComponentInfo *info)
{
    ina_shell_print(userdata, "%s\n", info->component);
}

static int show_config(const Shell *shell, const char *component, const char *key, InaShellOutput *output,
                       InaError *error)
{
    ConfigPrint print = {.output = output, .key = key};

    if (components_configuration_each(shell->framework, component, print_config, &print) < 0)
        return ina_error_set(error, ENOENT, "there is no component '%.100s'; 'components' lists those there are",
                             component);
    if (key && !print.found)
        return ina_error_set(error, ENOENT, "component %s has no key '%.100s'; 'config %s' lists those there are",
                             component, key, component);
    return 0;
}

static int run_config(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    const Shell *shell = self;
    bool pending = false;

    if (argc == 1) {
        components_each(shell->framework, print_component_name, output);
        return 0;
    }
    if (argc < 4)
        return show_config(shell, argv[1], argc > 2 ? argv[2] : NULL, output, error);
    int r = configuration_set(shell->framework->bundles->configuration, argv[1], argv[2],
                              strcmp(argv[3], "--default") == 0 ? NULL : argv[3], &pending, error);
    if (r < 0)
        return r;
    if (pending)
        ina_shell_print(output, "kept; there is no component %s now, the value is checked when it comes\n", argv[1]);
    else
        r = show_config(shell, argv[1], argv[2], output, error);
    return r;
}

/* --- help ------------------------------------------------------------------ */

static void print_help(InaShellOutput *output, const InaShellCommand *command)
{
    ina_shell_print(output, "%-38s %s\n", command->usage, command->help);
}

static void print_service_help(void *userdata, ServiceEntry *entry)
{
    const InaShellCommand *command = shell_service_command(entry);

    if (command)
        print_help(userdata, command);
}

static int run_help(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    Framework *framework = ((Shell *)self)->framework;

    for (const ShellBuiltin *builtin = shell_builtins; builtin->command.name; builtin++)
        if (argc == 1 || strcmp(argv[1], builtin->command.name) == 0) {
            print_help(output, &builtin->command);
            if (argc > 1)
                return 0;
        }
    if (argc == 1) {
        registry_each(framework, INA_SHELL_COMMAND, print_service_help, output);
        return 0;
    }
    ServiceEntry *entry = shell_find_service(framework, argv[1]);
    if (!entry)
        return ina_error_set(error, ENOENT, "there is no command '%.60s'; 'help' lists those there are", argv[1]);
    print_help(output, shell_service_command(entry));
    return 0;
}

/* The session sees to it. */
static int run_exit(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    return 0;
}

const ShellBuiltin shell_builtins[] = {
    {{"help", "help [COMMAND]", "lists the commands", run_help}, 0, 1},
    {{"lb", "lb", "lists the bundles", run_lb}, 0, 0},
    {{"bundle", "bundle BUNDLE", "shows one, by number or name: what it requires, why it does not run", run_bundle},
     1,
     1},
    {{"services", "services [NAME]", "lists the services with their properties", run_services}, 0, 1},
    {{"components", "components", "lists the components, and why one is not active", run_components}, 0, 0},
    {{"log", "log [N] | log LEVEL [BUNDLE]", "shows the last records, or sets what is logged", run_log}, 0, 2},
    {{"install", "install FILE", "installs a bundle", run_install}, 1, 1},
    {{"start", "start BUNDLE", "starts it, now and with the framework", run_start}, 1, 1},
    {{"stop", "stop BUNDLE", "stops it, and does not start it with the framework", run_stop}, 1, 1},
    {{"update", "update BUNDLE FILE", "gives it another version; its state goes along", run_update}, 2, 2},
    {{"uninstall", "uninstall BUNDLE", "stops and removes it", run_uninstall}, 1, 1},
    {{"config", "config [COMPONENT [KEY [VALUE]]]", "shows or sets values; --default as VALUE takes it back",
      run_config},
     0,
     3},
    {{"exit", "exit", "ends the session", run_exit}, 0, 0},
    {{NULL, NULL, NULL, NULL}, 0, 0},
};
