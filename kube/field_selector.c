/* field_selector.c - field selectors: terms of one field, compared as text. */
#include "selector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TERMS_MAX 32u

typedef struct Term {
    char *field, *value;
    bool differs;
} Term;

struct FieldSelector {
    size_t count;
    Term terms[TERMS_MAX];
};

FieldSelector *field_selector_free(FieldSelector *selector)
{
    for (size_t i = 0; selector && i < selector->count; i++) {
        free(selector->terms[i].field);
        free(selector->terms[i].value);
    }
    free(selector);
    return NULL;
}

static bool is_supported(const char *field, const char *const *fields)
{
    if (strcmp(field, "metadata.name") == 0 || strcmp(field, "metadata.namespace") == 0)
        return true;
    for (; fields && *fields; fields++)
        if (strcmp(field, *fields) == 0)
            return true;
    return false;
}

/* Takes the backslashes off in place; what they protect are backslash, comma and equals sign. */
static int unescape(char *value, InaError *error)
{
    char *to = value;
    for (const char *from = value; *from; from++) {
        if (*from == '=')
            return ina_error_set(error, EINVAL, "invalid field selector: unescaped character in value: %d", *from);
        if (*from == '\\') {
            from++;
            if (*from == '\0' || !strchr("\\,=", *from))
                return ina_error_set(error, EINVAL, "invalid field selector: invalid escape sequence: \\%.1s", from);
        }
        *to++ = *from;
    }
    *to = '\0';
    return 0;
}

static int add_term(FieldSelector *selector, const char *whole, const char *text, size_t length,
                    const char *const *fields, InaError *error)
{
    if (selector->count == TERMS_MAX)
        return ina_error_set(error, E2BIG, "a field selector has at most %u terms", TERMS_MAX);
    size_t before = 0;
    while (before < length && text[before] != '=' && !(text[before] == '!' && text[before + 1] == '='))
        before++;
    if (before == length)
        return ina_error_set(error, EINVAL, "invalid selector: '%s'; can't understand '%.*s'", whole, (int)length,
                             text);
    bool differs = text[before] == '!';
    size_t operator= differs ||(before + 1 < length && text[before + 1] == '=') ? 2 : 1;
    Term *term = &selector->terms[selector->count];
    *term = (Term){strndup(text, before), strndup(text + before + operator, length - before - operator), differs};
    selector->count++;
    if (!term->field || !term->value)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = unescape(term->value, error);
    if (r < 0)
        return r;
    if (!is_supported(term->field, fields))
        return fields ? ina_error_set(error, EINVAL, "field label not supported: %s", term->field)
                      : ina_error_set(error, EINVAL,
                                      "\"%s\" is not a known field selector: only \"metadata.name\", "
                                      "\"metadata.namespace\"",
                                      term->field);
    return 0;
}

int field_selector_parse(const char *text, const char *const *fields, FieldSelector **ret, InaError *error)
{
    text = text ? text : "";
    if (strlen(text) > SELECTOR_SIZE_MAX)
        return ina_error_set(error, E2BIG, "a field selector has at most %u characters", SELECTOR_SIZE_MAX);
    FieldSelector *selector = calloc(1, sizeof *selector);
    if (!selector)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (const char *at = text; *at;) {
        size_t length = 0;
        while (at[length] && at[length] != ',')
            length += at[length] == '\\' && at[length + 1] ? 2 : 1;
        int r = length ? add_term(selector, text, at, length, fields, error) : 0;
        if (r < 0) {
            field_selector_free(selector);
            return r;
        }
        at += length + (at[length] == ',');
    }
    *ret = selector;
    return 0;
}

/* The field as text: absent is "", booleans and numbers as written. */
static const char *field_text(const json_t *object, const char *field, char number[24])
{
    /* Of events: who made it. */
    const json_t *value = kube_get(object, strcmp(field, "source") == 0 ? "source.component" : field);
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    if (json_is_integer(value)) {
        snprintf(number, 24, "%" PRId64, (int64_t)json_integer_value(value));
        return number;
    }
    /* Of these absence means their zero value. */
    if (!value && strcmp(field, "spec.unschedulable") == 0)
        return "false";
    if (!value && strcmp(field, "status.replicas") == 0)
        return "0";
    return json_is_string(value) ? json_string_value(value) : "";
}

bool field_selector_matches(const FieldSelector *selector, const json_t *object)
{
    for (size_t i = 0; selector && i < selector->count; i++) {
        const Term *term = &selector->terms[i];
        char number[24];
        bool same = strcmp(field_text(object, term->field, number), term->value) == 0;
        if (same == term->differs)
            return false;
    }
    return true;
}

const char *field_selector_required(const FieldSelector *selector, const char *field)
{
    for (size_t i = 0; selector && i < selector->count; i++)
        if (!selector->terms[i].differs && strcmp(selector->terms[i].field, field) == 0)
            return selector->terms[i].value;
    return NULL;
}
