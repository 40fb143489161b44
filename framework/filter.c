/* filter.c - LDAP filters (RFC 4515), compiled into an array of nodes in the
 * order of the text: a composite node knows where its subtree ends. Values
 * are unescaped and parsed as number and boolean once, when compiled. */
#include "filter_terms.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef enum Operator {
    OPERATOR_AND,
    OPERATOR_OR,
    OPERATOR_NOT,
    OPERATOR_PRESENT,
    OPERATOR_EQUAL,
    OPERATOR_APPROXIMATE,
    OPERATOR_AT_LEAST,
    OPERATOR_AT_MOST,
    OPERATOR_SUBSTRING,
} Operator;

typedef struct Node {
    Operator op;
    unsigned end; /* index behind the subtree */
    const char *key;
    /* The unescaped value; for a substring n_parts texts one after the other,
     * each with its NUL: what the value begins with, contains in this order,
     * and ends with. The first and the last may be empty. */
    const char *value;
    unsigned n_parts;
    bool is_integer, is_double, is_boolean; /* the value can be read as such */
    int64_t integer;
    double real;
    bool boolean;
} Node;

struct InaFilter {
    char *text;
    char *pool; /* keys and values */
    unsigned n_nodes;
    Node nodes[];
};

typedef struct Compiler {
    InaFilter *filter;
    const char *position;
    char *pool_end;
    InaError *error;
} Compiler;

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_blanks(Compiler *compiler)
{
    while (blank(*compiler->position))
        compiler->position++;
}

/* "found" for messages: the next bytes, without control characters. */
static const char *found(const char *position, char *buffer, size_t size)
{
    if (*position == '\0')
        return "the end";
    size_t n = 0;
    buffer[n++] = '"';
    for (; *position != '\0' && n < size - 2; position++) {
        char c = *position;
        buffer[n++] = (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
    }
    buffer[n++] = '"';
    buffer[n] = '\0';
    return buffer;
}

static int refuse(Compiler *compiler, const char *expected)
{
    char buffer[16];
    size_t position = (size_t)(compiler->position - compiler->filter->text) + 1;
    return ina_error_set(compiler->error, EINVAL, "filter, position %zu: %s, found %s", position, expected,
                         found(compiler->position, buffer, sizeof(buffer)));
}

static void put(Compiler *compiler, char c)
{
    *compiler->pool_end++ = c;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int compile_escape(Compiler *compiler)
{
    const char *p = compiler->position + 1;
    if (*p != '\0' && strchr("*()\\", *p) != NULL) {
        put(compiler, *p);
        compiler->position += 2;
        return 0;
    }
    int high = hex_digit(p[0]);
    int low = high < 0 ? -1 : hex_digit(p[1]);
    if (low < 0)
        return refuse(compiler, "a backslash needs two hexadecimal digits behind it, as \\2a");
    if (high == 0 && low == 0)
        return refuse(compiler, "\\00 cannot occur in a value");
    put(compiler, (char)(high * 16 + low));
    compiler->position += 3;
    return 0;
}

static void parse_number(Node *node)
{
    const char *text = node->value;
    char *end;
    while (blank(*text))
        text++;
    if (*text == '\0')
        return;
    errno = 0;
    node->integer = strtoll(text, &end, 10);
    bool in_range = errno == 0;
    while (blank(*end))
        end++;
    node->is_integer = in_range && *end == '\0';
    node->real = strtod(text, &end);
    while (blank(*end))
        end++;
    node->is_double = *end == '\0';
}

/* Compares up to the end of `b`, ignoring case and white space in both. */
static bool approximate(const char *a, const char *b)
{
    for (;;) {
        while (blank(*a))
            a++;
        while (blank(*b))
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

static void parse_value(Node *node)
{
    parse_number(node);
    node->boolean = approximate(node->value, "true");
    node->is_boolean = node->boolean || approximate(node->value, "false");
}

/* Everything to the closing parenthesis. An unescaped `*` parts the texts of a substring. */
static int compile_value(Compiler *compiler, Node *node)
{
    node->value = compiler->pool_end;
    node->n_parts = 1;
    bool empty = true;
    for (;;) {
        switch (*compiler->position) {
        case '\0':
        case '(':
            return refuse(compiler, "expected ')' behind the value");
        case ')':
            put(compiler, '\0');
            if (node->n_parts == 1)
                parse_value(node);
            else
                node->op = empty && node->n_parts == 2 ? OPERATOR_PRESENT : OPERATOR_SUBSTRING;
            return 0;
        case '*':
            if (node->op != OPERATOR_EQUAL)
                return refuse(compiler, "'*' stands for any text only behind '='; write \\2a for the character");
            put(compiler, '\0');
            node->n_parts++;
            compiler->position++;
            break;
        case '\\': {
            int r = compile_escape(compiler);
            if (r < 0)
                return r;
            empty = false;
            break;
        }
        default:
            put(compiler, *compiler->position++);
            empty = false;
        }
    }
}

static int compile_operator(Compiler *compiler, Node *node)
{
    static const struct {
        const char *text;
        Operator op;
    } operators[] = {
        {"=", OPERATOR_EQUAL}, {"~=", OPERATOR_APPROXIMATE}, {">=", OPERATOR_AT_LEAST}, {"<=", OPERATOR_AT_MOST}};
    for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
        size_t length = strlen(operators[i].text);
        if (strncmp(compiler->position, operators[i].text, length) == 0) {
            node->op = operators[i].op;
            compiler->position += length;
            return 0;
        }
    }
    return refuse(compiler, "expected =, ~=, >= or <= behind the key");
}

static int compile_comparison(Compiler *compiler, Node *node)
{
    const char *key = compiler->position;
    size_t length = strcspn(key, "=<>~()&|!*\\:");
    compiler->position += length;
    while (length > 0 && blank(key[length - 1]))
        length--;
    if (length == 0) {
        compiler->position = key;
        return refuse(compiler, "expected a key, '&', '|' or '!'");
    }
    node->key = compiler->pool_end;
    memcpy(compiler->pool_end, key, length);
    compiler->pool_end += length;
    put(compiler, '\0');
    int r = compile_operator(compiler, node);
    return r < 0 ? r : compile_value(compiler, node);
}

static int compile_filter(Compiler *compiler, unsigned depth);

static int compile_composite(Compiler *compiler, Node *node, unsigned depth)
{
    char sign = *compiler->position++;
    node->op = sign == '&' ? OPERATOR_AND : sign == '|' ? OPERATOR_OR : OPERATOR_NOT;
    unsigned n_children = 0;
    for (skip_blanks(compiler); *compiler->position == '('; skip_blanks(compiler)) {
        if (sign == '!' && n_children == 1)
            return refuse(compiler, "'!' takes one filter: expected ')'");
        int r = compile_filter(compiler, depth + 1);
        if (r < 0)
            return r;
        n_children++;
    }
    if (n_children == 0)
        return refuse(compiler, "expected '(': '&', '|' and '!' need a filter");
    return 0;
}

static int compile_filter(Compiler *compiler, unsigned depth)
{
    if (*compiler->position != '(')
        return refuse(compiler, "expected '('");
    if (depth == INA_FILTER_DEPTH_MAX)
        return refuse(compiler, "filters are nested too deeply (at most 32)");
    compiler->position++;
    skip_blanks(compiler);
    Node *node = &compiler->filter->nodes[compiler->filter->n_nodes++];
    char c = *compiler->position;
    int r = c == '&' || c == '|' || c == '!' ? compile_composite(compiler, node, depth)
                                             : compile_comparison(compiler, node);
    if (r < 0)
        return r;
    if (*compiler->position != ')')
        return refuse(compiler, "expected ')'");
    compiler->position++;
    node->end = compiler->filter->n_nodes;
    return 0;
}

static InaFilter *filter_new(const char *text, size_t length)
{
    size_t n_nodes = 0;
    for (const char *p = text; *p != '\0'; p++)
        n_nodes += *p == '(';
    InaFilter *filter = calloc(1, sizeof(InaFilter) + n_nodes * sizeof(Node));
    if (filter == NULL)
        return NULL;
    filter->text = malloc(length + 1);
    /* Keys and values are shorter than what they stand for by an operator and
     * two parentheses, which leaves room for their two NULs. */
    filter->pool = malloc(length + 1);
    if (filter->text == NULL || filter->pool == NULL)
        return ina_filter_free(filter);
    memcpy(filter->text, text, length + 1);
    return filter;
}

int ina_filter_compile(const char *text, InaFilter **ret, InaError *error)
{
    size_t length = text != NULL ? strnlen(text, INA_FILTER_TEXT_MAX + 1) : 0;
    if (length == 0)
        return ina_error_set(error, EINVAL, "filter, position 1: expected '(', found nothing");
    if (length > INA_FILTER_TEXT_MAX)
        return ina_error_set(error, E2BIG, "filter: the text is too long, at most %d bytes are allowed",
                             INA_FILTER_TEXT_MAX);
    InaFilter *filter = filter_new(text, length);
    if (filter == NULL)
        return ina_error_set(error, ENOMEM, "filter: out of memory");

    Compiler compiler = {.filter = filter, .position = filter->text, .pool_end = filter->pool, .error = error};
    skip_blanks(&compiler);
    int r = compile_filter(&compiler, 0);
    if (r == 0) {
        skip_blanks(&compiler);
        if (*compiler.position != '\0')
            r = refuse(&compiler, "expected the end of the filter");
    }
    if (r < 0) {
        ina_filter_free(filter);
        return r;
    }
    *ret = filter;
    return 0;
}

/* The parts in their order: the first at the beginning, the last at the end,
 * the others leftmost in between, which is right whenever any placement is. */
static bool match_parts(const Node *node, const char *string)
{
    const char *part = node->value;
    size_t length = strlen(part);
    if (strncmp(string, part, length) != 0)
        return false;
    string += length;
    for (unsigned i = 1; i < node->n_parts - 1; i++) {
        part += length + 1;
        length = strlen(part);
        string = strstr(string, part);
        if (string == NULL)
            return false;
        string += length;
    }
    part += length + 1;
    length = strlen(part);
    size_t rest = strlen(string);
    return rest >= length && strcmp(string + rest - length, part) == 0;
}

static bool match_string(const Node *node, const char *string)
{
    switch (node->op) {
    case OPERATOR_EQUAL:
        return strcmp(string, node->value) == 0;
    case OPERATOR_APPROXIMATE:
        return approximate(string, node->value);
    case OPERATOR_AT_LEAST:
        return strcmp(string, node->value) >= 0;
    case OPERATOR_AT_MOST:
        return strcmp(string, node->value) <= 0;
    case OPERATOR_SUBSTRING:
        return match_parts(node, string);
    default:
        return false;
    }
}

/* `order` is the property compared with the filter's value: below, at or above 0. */
static bool match_order(const Node *node, int order)
{
    switch (node->op) {
    case OPERATOR_EQUAL:
    case OPERATOR_APPROXIMATE:
        return order == 0;
    case OPERATOR_AT_LEAST:
        return order >= 0;
    case OPERATOR_AT_MOST:
        return order <= 0;
    default:
        return false; /* a substring of a number: OSGi says no */
    }
}

static bool match_value(const Node *node, const InaValue *value)
{
    switch (value->type) {
    case INA_TYPE_STRING:
        return match_string(node, value->string);
    case INA_TYPE_INTEGER:
        return node->is_integer &&
               match_order(node, (value->integer > node->integer) - (value->integer < node->integer));
    case INA_TYPE_DOUBLE:
        /* Not a number is neither above nor below nor equal. */
        return node->is_double && value->real == value->real && node->real == node->real &&
               match_order(node, (value->real > node->real) - (value->real < node->real));
    case INA_TYPE_BOOLEAN:
        return node->is_boolean && node->op != OPERATOR_SUBSTRING && value->boolean == node->boolean;
    case INA_TYPE_STRINGS:
        for (size_t i = 0; i < value->strings.count; i++) {
            if (match_string(node, value->strings.items[i]))
                return true;
        }
        return false;
    }
    return false;
}

typedef struct Matching {
    const InaFilter *filter;
    bool (*holds)(void *userdata, const FilterTerm *term); /* NULL: by `properties` */
    void *userdata;
    const InaProperties *properties;
} Matching;

static FilterTerm term_of(const Node *node)
{
    static const FilterComparison comparisons[] = {
        [OPERATOR_PRESENT] = FILTER_PRESENT,         [OPERATOR_EQUAL] = FILTER_EQUAL,
        [OPERATOR_APPROXIMATE] = FILTER_APPROXIMATE, [OPERATOR_AT_LEAST] = FILTER_AT_LEAST,
        [OPERATOR_AT_MOST] = FILTER_AT_MOST,         [OPERATOR_SUBSTRING] = FILTER_SUBSTRING,
    };
    return (FilterTerm){comparisons[node->op], node->key, node->value, node};
}

static bool match_term(const Matching *matching, const Node *node)
{
    if (matching->holds != NULL) {
        FilterTerm term = term_of(node);
        return matching->holds(matching->userdata, &term);
    }
    const InaValue *value = ina_properties_get(matching->properties, node->key);
    return value != NULL && (node->op == OPERATOR_PRESENT || match_value(node, value));
}

static bool match_node(const Matching *matching, unsigned index)
{
    const Node *nodes = matching->filter->nodes, *node = &nodes[index];
    if (node->op == OPERATOR_NOT)
        return !match_node(matching, index + 1);
    if (node->op == OPERATOR_AND || node->op == OPERATOR_OR) {
        /* The first child that says otherwise decides. */
        bool otherwise = node->op == OPERATOR_OR;
        for (unsigned child = index + 1; child < node->end; child = nodes[child].end) {
            if (match_node(matching, child) == otherwise)
                return otherwise;
        }
        return !otherwise;
    }
    return match_term(matching, node);
}

bool ina_filter_match(const InaFilter *filter, const InaProperties *properties)
{
    Matching matching = {.filter = filter, .properties = properties};
    return filter == NULL || match_node(&matching, 0);
}

bool filter_evaluate(const InaFilter *filter, bool (*holds)(void *userdata, const FilterTerm *term), void *userdata)
{
    Matching matching = {.filter = filter, .holds = holds, .userdata = userdata};
    return filter == NULL || match_node(&matching, 0);
}

bool filter_term_matches(const FilterTerm *term, const char *string)
{
    return term->comparison == FILTER_PRESENT || match_string(term->node, string);
}

size_t filter_necessary(const InaFilter *filter, FilterTerm *ret, size_t maximum)
{
    size_t n = 0;
    /* What stands only below conjunctions: other composites are passed over whole. */
    for (unsigned i = 0; filter != NULL && i < filter->n_nodes && n < maximum;) {
        const Node *node = &filter->nodes[i];
        if (node->op == OPERATOR_EQUAL)
            ret[n++] = term_of(node);
        i = node->op == OPERATOR_OR || node->op == OPERATOR_NOT ? node->end : i + 1;
    }
    return n;
}

const char *ina_filter_text(const InaFilter *filter)
{
    return filter->text;
}

InaFilter *ina_filter_free(InaFilter *filter)
{
    if (filter == NULL)
        return NULL;
    free(filter->text);
    free(filter->pool);
    free(filter);
    return NULL;
}
