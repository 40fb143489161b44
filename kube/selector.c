/* selector.c - label selectors: the grammar of apimachinery's labels package,
 * by recursive descent over a text that is split at operators and blanks. */
#include "selector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum Operator { IN, NOT_IN, EQUALS, DOUBLE_EQUALS, NOT_EQUALS, EXISTS, ABSENT, GREATER, LESS } Operator;

typedef struct Requirement {
    char *key;
    Operator operator;
    char **values; /* sorted, each once */
    size_t count;
    int64_t number; /* GREATER, LESS */
} Requirement;

struct Selector {
    bool nothing;
    size_t count, values;
    Requirement *requirements;
};

Selector *selector_free(Selector *selector)
{
    if (!selector)
        return NULL;
    for (size_t i = 0; i < selector->count; i++) {
        Requirement *requirement = &selector->requirements[i];
        for (size_t j = 0; j < requirement->count; j++)
            free(requirement->values[j]);
        free(requirement->values);
        free(requirement->key);
    }
    free(selector->requirements);
    free(selector);
    return NULL;
}

/* --- building ------------------------------------------------------------------------------- */

static int selector_new(Selector **ret, InaError *error)
{
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : ina_error_set(error, ENOMEM, "out of memory");
}

static Requirement *add_requirement(Selector *selector, const char *key, InaError *error)
{
    const char *wrong = kube_check_label_key(key);
    if (wrong) {
        ina_error_set(error, EINVAL, "invalid label key \"%s\": %s", key, wrong);
        return NULL;
    }
    if (selector->count == SELECTOR_TERMS_MAX) {
        ina_error_set(error, E2BIG, "a selector has at most %u requirements", SELECTOR_TERMS_MAX);
        return NULL;
    }
    Requirement *requirements = reallocarray(selector->requirements, selector->count + 1, sizeof *requirements);
    char *copy = strdup(key);
    if (requirements)
        selector->requirements = requirements;
    if (!requirements || !copy) {
        free(copy);
        ina_error_set(error, ENOMEM, "out of memory");
        return NULL;
    }
    requirements[selector->count] = (Requirement){.key = copy};
    return &requirements[selector->count++];
}

static int add_value(Selector *selector, Requirement *requirement, const char *value, InaError *error)
{
    size_t at = 0;
    for (; at < requirement->count; at++) {
        int order = strcmp(requirement->values[at], value);
        if (order == 0)
            return 0;
        if (order > 0)
            break;
    }
    if (selector->values == SELECTOR_VALUES_MAX)
        return ina_error_set(error, E2BIG, "a selector has at most %u values", SELECTOR_VALUES_MAX);
    char **values = reallocarray(requirement->values, requirement->count + 1, sizeof *values);
    char *copy = strdup(value);
    if (values)
        requirement->values = values;
    if (!values || !copy) {
        free(copy);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    memmove(values + at + 1, values + at, (requirement->count - at) * sizeof *values);
    values[at] = copy;
    requirement->count++;
    selector->values++;
    return 0;
}

static bool read_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (*text == '\0' || *end || errno || !strchr("+-0123456789", *text))
        return false;
    *ret = number;
    return true;
}

/* What each operator wants of its values. */
static int check_requirement(Requirement *requirement, InaError *error)
{
    switch (requirement->operator) {
    case IN:
    case NOT_IN:
        if (requirement->count == 0)
            return ina_error_set(error, EINVAL, "for 'in', 'notin' operators, values set can't be empty");
        break;
    case EQUALS:
    case DOUBLE_EQUALS:
    case NOT_EQUALS:
        if (requirement->count != 1)
            return ina_error_set(error, EINVAL, "exact-match compatibility requires one single value");
        break;
    case EXISTS:
    case ABSENT:
        if (requirement->count != 0)
            return ina_error_set(error, EINVAL, "values set must be empty for exists and does not exist");
        break;
    case GREATER:
    case LESS:
        if (requirement->count != 1)
            return ina_error_set(error, EINVAL, "for 'Gt', 'Lt' operators, exactly one value is required");
        if (!read_number(requirement->values[0], &requirement->number))
            return ina_error_set(error, EINVAL, "for 'Gt', 'Lt' operators, the value must be an integer");
        break;
    }
    for (size_t i = 0; i < requirement->count; i++) {
        const char *wrong = kube_check_label_value(requirement->values[i]);
        if (wrong)
            return ina_error_set(error, EINVAL, "invalid label value: \"%s\": at key: \"%s\": %s",
                                 requirement->values[i], requirement->key, wrong);
    }
    return 0;
}

static int compare(const void *left, const void *right)
{
    const Requirement *a = left, *b = right;
    int order = strcmp(a->key, b->key);
    if (order == 0)
        order = (int)a->operator-(int) b->operator;
    return order;
}

/* Sorts and hands out, or frees. */
static int finish(Selector *selector, int r, Selector **ret)
{
    if (r < 0) {
        selector_free(selector);
        return r;
    }
    if (selector->count)
        qsort(selector->requirements, selector->count, sizeof *selector->requirements, compare);
    *ret = selector;
    return 0;
}

/* --- the text ------------------------------------------------------------------------------- */

typedef enum Token { END, WORD, OPEN, CLOSE, COMMA, NOT, SAME, TWICE_SAME, DIFFERENT, ABOVE, BELOW, WRONG } Token;

typedef struct Parser {
    const char *at;
    Token token;
    char text[SELECTOR_SIZE_MAX + 64]; /* the token as written; what was wrong with it */
} Parser;

static const struct {
    const char *text;
    Token token;
} symbols[] = {{"==", TWICE_SAME}, {"!=", DIFFERENT}, {"=", SAME},  {"!", NOT},  {"(", OPEN},
               {")", CLOSE},       {",", COMMA},      {">", ABOVE}, {"<", BELOW}};

static void next(Parser *parser)
{
    static const char blank[] = " \t\r\n", special[] = "=!(),><";
    parser->at += strspn(parser->at, blank);
    parser->text[0] = '\0';
    parser->token = END;
    if (*parser->at == '\0')
        return;
    size_t length = strcspn(parser->at, " \t\r\n=!(),><");
    if (length == 0) {
        parser->token = WRONG;
        for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
            if (strncmp(parser->at, symbols[i].text, strlen(symbols[i].text)) == 0) {
                parser->token = symbols[i].token;
                length = strlen(symbols[i].text);
                break;
            }
        if (parser->token == WRONG)
            length = strspn(parser->at, special);
    } else {
        parser->token = WORD;
    }
    snprintf(parser->text, sizeof parser->text, "%.*s", (int)length, parser->at);
    parser->at += length;
}

static bool is_word(const Parser *parser, const char *word)
{
    return parser->token == WORD && strcmp(parser->text, word) == 0;
}

static int read_operator(Parser *parser, Operator *ret, InaError *error)
{
    switch (parser->token) {
    case SAME:
        *ret = EQUALS;
        break;
    case TWICE_SAME:
        *ret = DOUBLE_EQUALS;
        break;
    case DIFFERENT:
        *ret = NOT_EQUALS;
        break;
    case ABOVE:
        *ret = GREATER;
        break;
    case BELOW:
        *ret = LESS;
        break;
    default:
        if (!is_word(parser, "in") && !is_word(parser, "notin"))
            return ina_error_set(error, EINVAL, "found '%s', expected: '=', '!=', '==', 'in', notin'", parser->text);
        *ret = is_word(parser, "in") ? IN : NOT_IN;
        break;
    }
    next(parser);
    return 0;
}

/* "(a,b,)": between commas nothing is the empty value. */
static int read_set(Parser *parser, Selector *selector, Requirement *requirement, InaError *error)
{
    if (parser->token != OPEN)
        return ina_error_set(error, EINVAL, "found '%s' expected: '('", parser->text);
    next(parser);
    for (;;) {
        const char *value = parser->token == WORD ? parser->text : "";
        if (parser->token != WORD && parser->token != COMMA && parser->token != CLOSE)
            return ina_error_set(error, EINVAL, "found '%s', expected: ',', ')' or identifier", parser->text);
        int r = add_value(selector, requirement, value, error);
        if (r < 0)
            return r;
        if (parser->token == WORD)
            next(parser);
        if (parser->token == CLOSE)
            break;
        if (parser->token != COMMA)
            return ina_error_set(error, EINVAL, "found '%s', expected: ',' or ')'", parser->text);
        next(parser);
    }
    next(parser);
    return 0;
}

static int read_exact(Parser *parser, Selector *selector, Requirement *requirement, InaError *error)
{
    if (parser->token == END || parser->token == COMMA)
        return add_value(selector, requirement, "", error);
    if (parser->token != WORD)
        return ina_error_set(error, EINVAL, "found '%s', expected: identifier", parser->text);
    int r = add_value(selector, requirement, parser->text, error);
    next(parser);
    return r;
}

static int read_requirement(Parser *parser, Selector *selector, InaError *error)
{
    bool negated = parser->token == NOT;
    if (negated)
        next(parser);
    if (parser->token != WORD)
        return ina_error_set(error, EINVAL, "found '%s', expected: identifier", parser->text);
    Requirement *requirement = add_requirement(selector, parser->text, error);
    if (!requirement)
        return -error->code;
    next(parser);
    if (parser->token == END || parser->token == COMMA) {
        requirement->operator= negated ? ABSENT : EXISTS;
        return 0;
    }
    int r = read_operator(parser, &requirement->operator, error);
    if (r == 0)
        r = requirement->operator== IN || requirement->operator== NOT_IN
                ? read_set(parser, selector, requirement, error)
                : read_exact(parser, selector, requirement, error);
    return r < 0 ? r : check_requirement(requirement, error);
}

static int read_requirements(Parser *parser, Selector *selector, InaError *error)
{
    next(parser);
    if (parser->token != END && parser->token != WORD && parser->token != NOT)
        return ina_error_set(error, EINVAL, "found '%s', expected: !, identifier, or 'end of string'", parser->text);
    while (parser->token != END) {
        int r = read_requirement(parser, selector, error);
        if (r < 0)
            return ina_error_wrap(error, "unable to parse requirement");
        if (parser->token == END)
            break;
        if (parser->token != COMMA)
            return ina_error_set(error, EINVAL, "found '%s', expected: ',' or 'end of string'", parser->text);
        next(parser);
        if (parser->token != WORD && parser->token != NOT)
            return ina_error_set(error, EINVAL, "found '%s', expected: identifier after ','", parser->text);
    }
    return 0;
}

int selector_parse(const char *text, Selector **ret, InaError *error)
{
    InaError unused = {.message = ""};
    error = error ? error : &unused;
    if (text && strlen(text) > SELECTOR_SIZE_MAX)
        return ina_error_set(error, E2BIG, "a selector has at most %u characters", SELECTOR_SIZE_MAX);
    Selector *selector;
    int r = selector_new(&selector, error);
    if (r < 0)
        return r;
    Parser *parser = calloc(1, sizeof *parser);
    if (!parser) {
        selector_free(selector);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    parser->at = text ? text : "";
    r = read_requirements(parser, selector, error);
    free(parser);
    return finish(selector, r, ret);
}

/* --- objects --------------------------------------------------------------------------------- */

static int add_map(Selector *selector, const json_t *map, InaError *error)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)map, key, value)
    {
        Requirement *requirement = add_requirement(selector, key, error);
        if (!requirement)
            return -error->code;
        requirement->operator= EQUALS;
        const char *text = json_string_value(value);
        int r = add_value(selector, requirement, text ? text : "", error);
        r = r < 0 ? r : check_requirement(requirement, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_expressions(Selector *selector, const json_t *expressions, bool numbers, InaError *error)
{
    static const struct {
        const char *name;
        Operator operator;
        bool numeric;
    } operators[] = {{"In", IN, false},         {"NotIn", NOT_IN, false},
                     {"Exists", EXISTS, false}, {"DoesNotExist", ABSENT, false},
                     {"Gt", GREATER, true},     {"Lt", LESS, true}};
    size_t i;
    const json_t *expression;
    json_array_foreach(expressions, i, expression)
    {
        const char *name = kube_string(expression, "operator");
        size_t k = 0;
        while (k < 6 && (strcmp(name, operators[k].name) != 0 || (operators[k].numeric && !numbers)))
            k++;
        if (k == 6)
            return ina_error_set(error, EINVAL, "\"%s\" is not a valid %s selector operator", name,
                                 numbers ? "node" : "pod");
        Requirement *requirement = add_requirement(selector, kube_string(expression, "key"), error);
        if (!requirement)
            return -error->code;
        requirement->operator= operators[k].operator;
        size_t j;
        const json_t *value;
        json_array_foreach(kube_get(expression, "values"), j, value)
        {
            const char *text = json_string_value(value);
            int r = add_value(selector, requirement, text ? text : "", error);
            if (r < 0)
                return r;
        }
        int r = check_requirement(requirement, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int build(const json_t *map, const json_t *expressions, bool numbers, bool nothing, Selector **ret,
                 InaError *error)
{
    InaError unused = {.message = ""};
    error = error ? error : &unused;
    Selector *selector;
    int r = selector_new(&selector, error);
    if (r < 0)
        return r;
    selector->nothing = nothing;
    r = add_map(selector, map, error);
    if (r == 0)
        r = add_expressions(selector, expressions, numbers, error);
    return finish(selector, r, ret);
}

int selector_from_object(const json_t *label_selector, Selector **ret, InaError *error)
{
    return build(kube_get(label_selector, "matchLabels"), kube_get(label_selector, "matchExpressions"), false,
                 !json_is_object(label_selector), ret, error);
}

int selector_from_map(const json_t *map, Selector **ret, InaError *error)
{
    return build(map, NULL, false, json_object_size(map) == 0, ret, error);
}

int selector_from_expressions(const json_t *expressions, Selector **ret, InaError *error)
{
    return build(NULL, expressions, true, json_array_size(expressions) == 0, ret, error);
}

/* --- matching --------------------------------------------------------------------------------- */

static bool has_value(const Requirement *requirement, const char *value)
{
    for (size_t i = 0; i < requirement->count; i++)
        if (strcmp(requirement->values[i], value) == 0)
            return true;
    return false;
}

static bool requirement_matches(const Requirement *requirement, const char *value)
{
    int64_t number;
    switch (requirement->operator) {
    case IN:
    case EQUALS:
    case DOUBLE_EQUALS:
        return value && has_value(requirement, value);
    case NOT_IN:
    case NOT_EQUALS:
        return !value || !has_value(requirement, value);
    case EXISTS:
        return value;
    case ABSENT:
        return !value;
    case GREATER:
        return value && read_number(value, &number) && number > requirement->number;
    case LESS:
        return value && read_number(value, &number) && number < requirement->number;
    }
    return false;
}

bool selector_matches(const Selector *selector, const json_t *labels)
{
    if (!selector)
        return true;
    for (size_t i = 0; i < selector->count; i++) {
        const Requirement *requirement = &selector->requirements[i];
        if (!requirement_matches(requirement, json_string_value(json_object_get(labels, requirement->key))))
            return false;
    }
    return !selector->nothing;
}

char *selector_format(const Selector *selector)
{
    static const char *const before[] = {
        [IN] = " in (", [NOT_IN] = " notin (", [EQUALS] = "=",  [DOUBLE_EQUALS] = "==", [NOT_EQUALS] = "!=",
        [EXISTS] = "",  [ABSENT] = "",         [GREATER] = ">", [LESS] = "<",
    };
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return NULL;
    for (size_t i = 0; selector && i < selector->count; i++) {
        const Requirement *requirement = &selector->requirements[i];
        fprintf(file, "%s%s%s%s", i ? "," : "", requirement->operator == ABSENT ? "!" : "", requirement->key,
                before[requirement->operator]);
        for (size_t j = 0; j < requirement->count; j++)
            fprintf(file, "%s%s", j ? "," : "", requirement->values[j]);
        if (requirement->operator== IN || requirement->operator== NOT_IN)
            fputc(')', file);
    }
    if (fclose(file) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
