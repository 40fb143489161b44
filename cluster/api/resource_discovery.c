/* resource_discovery.c - what the API says of itself. */
#include "resource_internal.h"

#include "base/cleanup.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static json_t *verb_names(ResourceVerbs verbs)
{
    static const struct {
        ResourceVerbs verb;
        const char *name;
    } names[] = {{VERB_CREATE, "create"}, {VERB_DELETE, "delete"}, {VERB_DELETE_COLLECTION, "deletecollection"},
                 {VERB_GET, "get"},       {VERB_LIST, "list"},     {VERB_PATCH, "patch"},
                 {VERB_UPDATE, "update"}, {VERB_WATCH, "watch"}};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (verbs & names[i].verb)
            json_array_append_new(list, json_string(names[i].name));
    return list;
}

static void add_names(json_t *entry, const char *field, const char *const *names)
{
    if (!names)
        return;
    json_t *list = json_array();
    for (; *names; names++)
        json_array_append_new(list, json_string(*names));
    json_object_set_new(entry, field, list);
}

/* The first eight bytes of the SHA-256 of "GROUP/VERSION/KIND", as Kubernetes has it. */
static void add_hash(json_t *entry, const Resource *resource)
{
    char text[256], encoded[16];
    unsigned char hash[crypto_hash_sha256_BYTES];
    snprintf(text, sizeof text, "%s/%s/%s", resource->group, resource->version, resource->kind);
    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    sodium_bin2base64(encoded, sizeof encoded, hash, 8, sodium_base64_VARIANT_ORIGINAL);
    json_object_set_new(entry, "storageVersionHash", json_string(encoded));
}

static json_t *resource_entry(const Resource *resource)
{
    json_t *entry = json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", resource->plural, "singularName", "", "namespaced",
                              resource->namespaced, "kind", resource->kind, "verbs", verb_names(resource->verbs));
    add_names(entry, "shortNames", resource->short_names);
    add_names(entry, "categories", resource->categories);
    if (!resource->computed)
        add_hash(entry, resource);
    return entry;
}

static json_t *subresource_entry(const Resource *resource, const Subresource *sub)
{
    json_t *entry = json_object();
    json_object_set_new(entry, "name", json_sprintf("%s/%s", resource->plural, sub->name));
    json_object_set_new(entry, "singularName", json_string(""));
    json_object_set_new(entry, "namespaced", json_boolean(resource->namespaced));
    if (sub->group) {
        json_object_set_new(entry, "group", json_string(sub->group));
        json_object_set_new(entry, "version", json_string(sub->version));
    }
    json_object_set_new(entry, "kind", json_string(sub->kind));
    json_object_set_new(entry, "verbs", verb_names(sub->verbs));
    return entry;
}

json_t *discovery_resources(const char *group, const char *version)
{
    size_t count;
    const Resource *const *all = resources(&count);
    json_t *list = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i]->group, group) != 0 || strcmp(all[i]->version, version) != 0)
            continue;
        if (!list)
            list = json_array();
        json_array_append_new(list, resource_entry(all[i]));
        for (const Subresource *sub = all[i]->subresources; sub && sub->name; sub++)
            json_array_append_new(list, subresource_entry(all[i], sub));
    }
    if (!list)
        return NULL;
    char full[RESOURCE_VERSION_SIZE];
    snprintf(full, sizeof full, "%s%s%s", group, *group ? "/" : "", version);
    json_t *document = json_pack("{s:s}", "kind", "APIResourceList");
    if (*group) /* Kubernetes leaves it out of the core group's */
        json_object_set_new(document, "apiVersion", json_string("v1"));
    json_object_set_new(document, "groupVersion", json_string(full));
    json_object_set_new(document, "resources", list);
    return document;
}

/* {groupVersion, version} of the one version that each group has; NULL: no such group. */
static json_t *group_version(const char *group)
{
    size_t count;
    const Resource *const *all = resources(&count);
    for (size_t i = 0; i < count; i++)
        if (*group && strcmp(all[i]->group, group) == 0) {
            char full[RESOURCE_VERSION_SIZE];
            resource_api_version(all[i], full);
            return json_pack("{s:s, s:s}", "groupVersion", full, "version", all[i]->version);
        }
    return NULL;
}

static json_t *group_entry(const char *group, json_t *version)
{
    return json_pack("{s:s, s:[O], s:o}", "name", group, "versions", version, "preferredVersion", version);
}

json_t *discovery_group(const char *group)
{
    json_t *version = group_version(group);
    if (!version)
        return NULL;
    json_t *document = json_pack("{s:s, s:s}", "kind", "APIGroup", "apiVersion", "v1");
    AUTO_JSON json_t *entry = group_entry(group, version);
    json_object_update(document, entry);
    return document;
}

json_t *discovery_groups(void)
{
    size_t count;
    const Resource *const *all = resources(&count);
    json_t *list = json_array();
    const char *last = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i]->group, last) == 0)
            continue;
        last = all[i]->group;
        json_array_append_new(list, group_entry(last, group_version(last)));
    }
    return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", list);
}

json_t *discovery_versions(const char *address)
{
    return json_pack("{s:s, s:[s], s:[{s:s, s:s}]}", "kind", "APIVersions", "versions", "v1",
                     "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress", address);
}
