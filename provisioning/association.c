/* association.c - what an association links: endpoints from definitions, as
 * ACE's helpers make them, and back from their texts. */
#include "base/cleanup.h"
#include "base/map.h"
#include "model_internal.h"
#include <errno.h>
#include <string.h>

static const struct {
    const char *definition, *endpoint, *cardinality;
} sides[SIDES] = {
    [SIDE_LEFT] = {"left", "leftEndpoint", "leftCardinality"},
    [SIDE_RIGHT] = {"right", "rightEndpoint", "rightCardinality"},
};

/* In ACE's order an association stands between the kinds that it links. */
ObjectKind association_end(ObjectKind association, Side side)
{
    static const ObjectKind ends[OBJECT_KINDS][SIDES] = {
        [OBJECT_ARTIFACT2FEATURE] = {OBJECT_ARTIFACT, OBJECT_FEATURE},
        [OBJECT_FEATURE2DISTRIBUTION] = {OBJECT_FEATURE, OBJECT_DISTRIBUTION},
        [OBJECT_DISTRIBUTION2TARGET] = {OBJECT_DISTRIBUTION, OBJECT_TARGET},
    };
    return ends[association][side];
}

/* --- version ranges ------------------------------------------------------------ */

typedef struct VersionRange {
    Version low, high;
    bool above_low, has_high, below_high; /* above_low: without the low end itself */
} VersionRange;

static int refuse_range(const char *text, InaError *error)
{
    return ina_error_set(error, EINVAL,
                         "attribute " DYNAMIC_ATTRIBUTE ": '%.80s' is not a range of versions; right would be "
                         "\"0.0.0\" for any, \"1.2\" for 1.2 and later, or \"[1.0,2.0)\"",
                         text);
}

static int part_parse(const char *text, size_t size, Version *ret)
{
    char part[VERSION_TEXT_MAX];

    while (size > 0 && *text == ' ') {
        text++;
        size--;
    }
    while (size > 0 && text[size - 1] == ' ')
        size--;
    if (size >= sizeof part)
        return -EINVAL;
    memcpy(part, text, size);
    part[size] = '\0';
    return version_parse(part, ret, NULL);
}

/* OSGi Core 8, section 3.2.6. */
static int range_parse(const char *text, VersionRange *ret, InaError *error)
{
    VersionRange range = {0};
    size_t length = strlen(text);

    if (*text != '[' && *text != '(') {
        if (part_parse(text, length, &range.low) < 0)
            return refuse_range(text, error);
        *ret = range;
        return 0;
    }
    const char *comma = strchr(text, ',');
    char close = text[length - 1];
    if (!comma || (close != ']' && close != ')'))
        return refuse_range(text, error);
    range.above_low = *text == '(';
    range.below_high = close == ')';
    range.has_high = true;
    if (part_parse(text + 1, (size_t)(comma - text) - 1, &range.low) < 0 ||
        part_parse(comma + 1, (size_t)(text + length - comma) - 2, &range.high) < 0)
        return refuse_range(text, error);
    *ret = range;
    return 0;
}

/* --- endpoints from definitions ------------------------------------------------- */

static void print_equal(Buffer *out, const char *key, const char *value)
{
    buffer_print(out, "(%s=", key);
    for (const char *p = value; *p; p++) {
        if (strchr("*()\\", *p))
            buffer_print(out, "\\%02x", (unsigned)*p);
        else
            buffer_append(out, p, 1);
    }
    buffer_append(out, ")", 1);
}

static void print_range(Buffer *out, const Object *bundle, const VersionRange *range)
{
    char low[VERSION_TEXT_MAX], high[VERSION_TEXT_MAX];

    version_format(&range->low, low);
    version_format(&range->high, high);
    buffer_print(out, "(&");
    print_equal(out, "Bundle-SymbolicName", object_attribute(bundle, "Bundle-SymbolicName"));
    buffer_print(out, "(Bundle-Version>=%s)", low);
    if (range->above_low)
        buffer_print(out, "(!(Bundle-Version=%s))", low);
    if (range->has_high)
        buffer_print(out, "(Bundle-Version<=%s)", high);
    if (range->below_high)
        buffer_print(out, "(!(Bundle-Version=%s))", high);
    buffer_print(out, ")");
}

static void print_exact(Buffer *out, const Object *object)
{
    if (object_kind(object) == OBJECT_ARTIFACT && object->is_bundle) {
        buffer_print(out, "(&");
        print_equal(out, "Bundle-SymbolicName", object_attribute(object, "Bundle-SymbolicName"));
        print_equal(out, "Bundle-Version", object_attribute(object, "Bundle-Version"));
        buffer_print(out, ")");
        return;
    }
    const char *key = object_kind(object) == OBJECT_ARTIFACT ? "filename"
                      : object_kind(object) == OBJECT_TARGET ? "id"
                                                             : "name";
    print_equal(out, key, object_attribute(object, key));
}

char *exact_endpoint(const Object *object)
{
    Buffer out = {0};
    print_exact(&out, object);
    if (out.failed)
        buffer_free(&out);
    return out.data;
}

static int print_endpoint(Buffer *out, const Object *object, const char *statement, InaError *error)
{
    VersionRange range = {0};

    if (object_is_processor(object))
        return ina_error_set(error, EINVAL,
                             "%s is a resource processor: it cannot be linked, it goes to the targets whose "
                             "configurations need it",
                             object_definition(object));
    if (!statement) {
        print_exact(out, object);
        return 0;
    }
    if (!object->is_bundle)
        return ina_error_set(error, EINVAL,
                             "%s is not a bundle: it has no versions that a dynamic link could choose from",
                             object_definition(object));
    int r = range_parse(statement, &range, error);
    if (r == 0)
        print_range(out, object, &range);
    return r;
}

static int set_text(json_t *attributes, const char *key, const char *text, InaError *error)
{
    return json_object_set_new(attributes, key, json_string(text)) < 0 ? out_of_memory(error) : 0;
}

/* Endpoint and cardinality of the object with this definition, as ACE's helpers give them. */
static int complete_from(json_t *attributes, Side side, const Object *object, const char *statement, InaError *error)
{
    Buffer out = {0};

    int r = print_endpoint(&out, object, statement, error);
    if (r == 0 && out.failed)
        r = out_of_memory(error);
    if (r == 0)
        r = set_text(attributes, sides[side].endpoint, out.data, error);
    if (r == 0 && !json_object_get(attributes, sides[side].cardinality))
        r = set_text(attributes, sides[side].cardinality, statement ? "1" : "2147483647", error);
    buffer_free(&out);
    return r;
}

static int complete_side(ObjectKind kind, Side side, const json_t *given, const Model *model, json_t *attributes,
                         InaError *error)
{
    ObjectKind end = association_end(kind, side);
    const char *statement =
        end == OBJECT_ARTIFACT ? json_string_value(json_object_get(attributes, DYNAMIC_ATTRIBUTE)) : NULL;

    if (!given || json_is_null(given))
        return 0;
    if (json_object_get(attributes, sides[side].endpoint))
        return ina_error_set(error, EINVAL, "it has \"%s\" and %s; one of them is right", sides[side].definition,
                             sides[side].endpoint);
    if (!json_is_string(given))
        return ina_error_set(error, EINVAL, "\"%s\": right would be the definition of the %s", sides[side].definition,
                             object_kind_name(end));
    const Object *object = model ? model_get(model, end, json_string_value(given)) : NULL;
    char text[OBJECT_TEXT_SIZE];
    if (!object)
        return ina_error_set(error, EINVAL, "\"%s\": there is no %s '%.200s'", sides[side].definition,
                             object_kind_name(end), definition_text(json_string_value(given), text));
    int r = complete_from(attributes, side, object, statement, error);
    return r < 0 ? ina_error_wrap(error, "\"%s\"", sides[side].definition) : 0;
}

int association_complete(ObjectKind kind, const json_t *value, const Model *model, json_t **ret, InaError *error)
{
    const json_t *given = json_object_get(value, "attributes");
    if (given && !json_is_object(given))
        return ina_error_set(error, EINVAL, "\"attributes\": right would be {\"name\": \"value\"}");
    json_t *AUTO_JSON attributes = given ? json_copy((json_t *)given) : json_object();
    if (!attributes)
        return out_of_memory(error);
    for (Side side = 0; side < SIDES; side++) {
        int r = complete_side(kind, side, json_object_get(value, sides[side].definition), model, attributes, error);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(attributes);
    return 0;
}

/* --- reading ---------------------------------------------------------------------- */

static int read_cardinality(const char *key, const char *text, unsigned *ret, InaError *error)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;

    *ret = 1;
    if (!text)
        return 0;
    if (strcasecmp(text, "N") == 0) {
        *ret = CARDINALITY_MANY;
        return 0;
    }
    unsigned long long number = digits > 0 && digits <= 10 && !text[digits] ? strtoull(text, NULL, 10) : 0;
    if (number == 0 || number > CARDINALITY_MANY)
        return ina_error_set(error, EINVAL,
                             "attribute %s: '%.40s' is not a cardinality; right would be a number from 1 to %u, or N "
                             "for any",
                             key, text, CARDINALITY_MANY);
    *ret = (unsigned)number;
    return 0;
}

int association_read(Object *object, InaError *error)
{
    object->is_dynamic = object_attribute(object, DYNAMIC_ATTRIBUTE) != NULL;
    for (Side side = 0; side < SIDES; side++) {
        const char *text = object_attribute(object, sides[side].endpoint);
        if (!text)
            return ina_error_set(error, EINVAL,
                                 "the attribute %s is missing: a filter, as \"(name=x)\" (or \"%s\", a definition)",
                                 sides[side].endpoint, sides[side].definition);
        int r = ina_filter_compile(text, &object->endpoints[side].filter, error);
        if (r < 0)
            return ina_error_wrap(error, "attribute %s", sides[side].endpoint);
        r = read_cardinality(sides[side].cardinality, object_attribute(object, sides[side].cardinality),
                             &object->endpoints[side].cardinality, error);
        if (r < 0)
            return r;
    }
    return 0;
}
