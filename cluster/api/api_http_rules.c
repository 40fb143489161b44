/* api_http_rules.c - all that one may, as rules: `kubectl auth can-i --list`.
 *
 * The roles are fixed and not kept as rules: each is asked about every verb of
 * every kind that is served, so that the list says what the answers do. */
#include "api_http_internal.h"

static const struct {
    ResourceVerbs verb;
    const char *name;
} verbs[] = {{VERB_GET, "get"},       {VERB_LIST, "list"},
             {VERB_WATCH, "watch"},   {VERB_CREATE, "create"},
             {VERB_UPDATE, "update"}, {VERB_PATCH, "patch"},
             {VERB_DELETE, "delete"}, {VERB_DELETE_COLLECTION, "deletecollection"}};

typedef struct Asked {
    const ApiUser *user;
    const char *namespace;
    const Resource *resource;
    const Subresource *subresource; /* NULL: none */
} Asked;

/* With a name: only what is not allowed for all names already. */
static json_t *allowed_verbs(const Asked *asked, const char *name)
{
    const Resource *resource = asked->resource;
    const char *subresource = asked->subresource ? asked->subresource->name : "";
    const char *where = resource->namespaced ? asked->namespace : "";
    ResourceVerbs there = asked->subresource ? asked->subresource->verbs : resource->verbs;
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        const char *verb = verbs[i].name;
        if (!(there & verbs[i].verb))
            continue;
        bool all = auth_allows(asked->user, verb, resource->group, resource->plural, subresource, where, "", NULL);
        bool one = *name && !all &&
                   auth_allows(asked->user, verb, resource->group, resource->plural, subresource, where, name, NULL);
        if (*name ? one : all)
            json_array_append_new(list, json_string(verb));
    }
    return list;
}

static void add_rule(json_t *rules, const Asked *asked, const char *name)
{
    json_t *list = allowed_verbs(asked, name);

    if (json_array_size(list) == 0) {
        json_decref(list);
        return;
    }
    json_t *plural = asked->subresource ? json_sprintf("%s/%s", asked->resource->plural, asked->subresource->name)
                                        : json_string(asked->resource->plural);
    json_t *rule =
        json_pack("{s:o, s:[s], s:[o]}", "verbs", list, "apiGroups", asked->resource->group, "resources", plural);
    if (*name)
        json_object_set_new(rule, "resourceNames", json_pack("[s]", name));
    json_array_append_new(rules, rule);
}

static json_t *resource_rules(const ApiUser *user, const char *namespace)
{
    size_t count;
    const Resource *const *all = resources(&count);
    json_t *rules = json_array();

    for (size_t i = 0; i < count; i++) {
        Asked asked = {.user = user, .namespace = namespace, .resource = all[i]};
        const Subresource *next = all[i]->subresources;
        for (;;) {
            add_rule(rules, &asked, "");
            if (user->role == ROLE_NODE)
                add_rule(rules, &asked, user->node);
            if (!next || !next->name)
                break;
            asked.subresource = next++;
        }
    }
    return rules;
}

json_t *api_rules(const ApiUser *user, const char *namespace)
{
    if (user->role == ROLE_ADMIN)
        return json_pack("{s:[{s:[s], s:[s], s:[s]}], s:[{s:[s], s:[s]}], s:b}", "resourceRules", "verbs", "*",
                         "apiGroups", "*", "resources", "*", "nonResourceRules", "verbs", "*", "nonResourceURLs", "*",
                         "incomplete", 0);
    json_t *rules =
        json_pack("{s:o, s:[{s:[s], s:[s]}], s:b}", "resourceRules", resource_rules(user, namespace),
                  "nonResourceRules", "verbs", "get", "nonResourceURLs", "*", "incomplete", user->role == ROLE_NODE);
    if (user->role == ROLE_NODE)
        json_object_set_new(rules, "evaluationError",
                            json_string("of pods, secrets and service accounts a node may use only those of the pods "
                                        "that run on it"));
    return rules;
}
