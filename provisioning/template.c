/* template.c - see template.h. */
#include "template.h"
#include "base/map.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_SIZE 64u

typedef struct Variable {
    const char *name;
    size_t size;
    const Object *object;
} Variable;

typedef struct Renderer {
    const char *text;
    size_t size;
    const TemplateContext *context;
    Buffer out;
    size_t work;
    Variable variables[TEMPLATE_DEPTH_MAX];
    unsigned loops, blocks;
    InaError *error;
} Renderer;

typedef enum Stop { STOP_TEXT, STOP_ELSE, STOP_END } Stop;

typedef enum BlockType { BLOCK_TEXT, BLOCK_IF, BLOCK_ELSE, BLOCK_FOREACH } BlockType;

typedef struct Slice {
    const char *start;
    size_t size;
} Slice;

static int render_block(Renderer *renderer, BlockType type, bool emit, size_t *position, Stop *ret_stop);

static size_t line_of(const Renderer *renderer, size_t position)
{
    size_t line = 1;

    for (size_t i = 0; i < position; i++)
        line += renderer->text[i] == '\n';
    return line;
}

static int fail_at(const Renderer *renderer, size_t position, int code, const char *what)
{
    return ina_error_set(renderer->error, code, "line %zu: %s", line_of(renderer, position), what);
}

/* --- words ---------------------------------------------------------------------- */

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool begins_name(char c)
{
    return in_name(c) && c != '-' && (c < '0' || c > '9');
}

static char at(const Renderer *renderer, size_t position)
{
    return position < renderer->size ? renderer->text[position] : '\0';
}

static bool take(const Renderer *renderer, size_t *position, const char *word)
{
    size_t length = strlen(word);

    if (renderer->size - *position < length || memcmp(renderer->text + *position, word, length) != 0)
        return false;
    *position += length;
    return true;
}

static void skip_blanks(const Renderer *renderer, size_t *position)
{
    while (at(renderer, *position) == ' ' || at(renderer, *position) == '\t')
        (*position)++;
}

static bool take_name(const Renderer *renderer, size_t *position, Slice *ret)
{
    size_t start = *position;

    if (!begins_name(at(renderer, start)))
        return false;
    while (in_name(at(renderer, *position)))
        (*position)++;
    *ret = (Slice){renderer->text + start, *position - start};
    return ret->size <= NAME_MAX_SIZE;
}

/* "name.name-2.name": a key; a dot that no name follows is not part of it. Within braces any of [A-Za-z0-9._-]. */
static bool take_key(const Renderer *renderer, size_t *position, bool braces, Slice *ret)
{
    size_t start = *position, end = start;

    while (in_name(at(renderer, end)) || (at(renderer, end) == '.' && (braces || begins_name(at(renderer, end + 1)))))
        end++;
    *ret = (Slice){renderer->text + start, end - start};
    *position = end;
    return ret->size > 0 && ret->size <= MODEL_KEY_MAX;
}

/* The rest of a directive's line goes with it, when nothing else is in it. */
static void skip_line_end(const Renderer *renderer, size_t *position)
{
    size_t end = *position;

    skip_blanks(renderer, &end);
    if (take(renderer, &end, "\r\n") || take(renderer, &end, "\n"))
        *position = end;
}

/* --- references: ${context.a.b}, $x.name ----------------------------------------------- */

typedef struct Reference {
    Slice name, key;
} Reference;

static bool take_reference(const Renderer *renderer, size_t *position, Reference *ret)
{
    size_t end = *position;
    bool braces;

    if (!take(renderer, &end, "$"))
        return false;
    braces = take(renderer, &end, "{");
    if (!take_name(renderer, &end, &ret->name) || !take(renderer, &end, ".") ||
        !take_key(renderer, &end, braces, &ret->key) || (braces && !take(renderer, &end, "}")))
        return false;
    *position = end;
    return true;
}

static bool is(const Slice *slice, const char *word)
{
    return slice->size == strlen(word) && memcmp(slice->start, word, slice->size) == 0;
}

static const char *first_of(Renderer *renderer, const Object *const *objects, size_t n, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < n && !value; i++) {
        value = object_value(objects[i], key);
        renderer->work += 16;
    }
    return value;
}

static const char *context_value(Renderer *renderer, const char *key)
{
    const TemplateContext *context = renderer->context;
    const char *value = object_value(context->target, key);

    if (!value)
        value = first_of(renderer, context->distributions, context->n_distributions, key);
    if (!value)
        value = first_of(renderer, context->features, context->n_features, key);
    if (!value)
        value = first_of(renderer, context->artifacts, context->n_artifacts, key);
    return value;
}

/* NULL: nowhere. */
static const char *resolve(Renderer *renderer, const Reference *reference)
{
    char key[MODEL_KEY_MAX + 1];

    memcpy(key, reference->key.start, reference->key.size);
    key[reference->key.size] = '\0';
    for (unsigned i = renderer->loops; i > 0; i--) {
        const Variable *variable = &renderer->variables[i - 1];

        if (variable->size == reference->name.size &&
            memcmp(variable->name, reference->name.start, variable->size) == 0)
            return variable->object ? object_value(variable->object, key) : NULL;
    }
    return is(&reference->name, "context") ? context_value(renderer, key) : NULL;
}

/* --- directives ------------------------------------------------------------------------- */

static int enter_block(Renderer *renderer, size_t position)
{
    if (renderer->blocks == TEMPLATE_BLOCKS_MAX)
        return fail_at(renderer, position, EFBIG, "blocks nest deeper than 16");
    renderer->blocks++;
    return 0;
}

/* The inside of a block, up to its #else or #end, which must be there. */
static int render_inside(Renderer *renderer, BlockType type, bool emit, size_t opened, size_t *position, Stop *ret_stop)
{
    int r = render_block(renderer, type, emit, position, ret_stop);

    if (r == 0 && *ret_stop == STOP_TEXT)
        r = fail_at(renderer, opened, EINVAL, "a block without its #end");
    return r;
}

/* `position` is behind "#if (REFERENCE)". */
static int render_if(Renderer *renderer, const Reference *condition, bool emit, size_t opened, size_t *position)
{
    const char *value = emit ? resolve(renderer, condition) : NULL;
    bool yes = value && *value && strcmp(value, "false") != 0;
    Stop stop;
    int r = enter_block(renderer, opened);

    if (r < 0)
        return r;
    r = render_inside(renderer, BLOCK_IF, emit && yes, opened, position, &stop);
    if (r == 0 && stop == STOP_ELSE) /* a second #else is text */
        r = render_inside(renderer, BLOCK_ELSE, emit && !yes, opened, position, &stop);
    renderer->blocks--;
    return r;
}

typedef struct Loop {
    Slice variable;
    const Object *const *objects;
    size_t n;
} Loop;

/* "($x in $context.getDistributions())" */
static bool take_loop(const Renderer *renderer, size_t *position, Loop *ret)
{
    const TemplateContext *context = renderer->context;
    const struct {
        const char *name;
        const Object *const *objects;
        size_t n;
    } lists[] = {
        {"getDistributions()", context->distributions, context->n_distributions},
        {"getFeatures()", context->features, context->n_features},
        {"getArtifacts()", context->artifacts, context->n_artifacts},
    };
    size_t end = *position;
    bool braces;

    skip_blanks(renderer, &end);
    if (!take(renderer, &end, "("))
        return false;
    skip_blanks(renderer, &end);
    if (!take(renderer, &end, "$") || !take_name(renderer, &end, &ret->variable))
        return false;
    skip_blanks(renderer, &end);
    if (!take(renderer, &end, "in"))
        return false;
    skip_blanks(renderer, &end);
    braces = take(renderer, &end, "${context.");
    if (!braces && !take(renderer, &end, "$context."))
        return false;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (take(renderer, &end, lists[i].name)) {
            if (braces && !take(renderer, &end, "}"))
                return false;
            skip_blanks(renderer, &end);
            if (!take(renderer, &end, ")"))
                return false;
            ret->objects = lists[i].objects;
            ret->n = lists[i].n;
            *position = end;
            return true;
        }
    return false;
}

static int render_foreach(Renderer *renderer, const Loop *loop, bool emit, size_t opened, size_t *position)
{
    size_t body = *position, n = emit ? loop->n : 0;
    Variable *variable;
    Stop stop;
    int r = enter_block(renderer, opened);

    if (r < 0)
        return r;
    if (renderer->loops == TEMPLATE_DEPTH_MAX) {
        renderer->blocks--;
        return fail_at(renderer, opened, EFBIG, "loops nest deeper than 4");
    }
    variable = &renderer->variables[renderer->loops++];
    *variable = (Variable){.name = loop->variable.start, .size = loop->variable.size};
    for (size_t i = 0; r == 0 && i < (n > 0 ? n : 1); i++) {
        *position = body;
        variable->object = n > 0 ? loop->objects[i] : NULL;
        r = render_inside(renderer, BLOCK_FOREACH, n > 0, opened, position, &stop);
    }
    renderer->loops--;
    renderer->blocks--;
    return r;
}

/* "(REFERENCE)" */
static bool take_condition(const Renderer *renderer, size_t *position, Reference *ret)
{
    size_t end = *position;

    skip_blanks(renderer, &end);
    if (!take(renderer, &end, "("))
        return false;
    skip_blanks(renderer, &end);
    if (!take_reference(renderer, &end, ret))
        return false;
    skip_blanks(renderer, &end);
    if (!take(renderer, &end, ")"))
        return false;
    *position = end;
    return true;
}

/* A word that ends here: "#end" but not "#ending". */
static bool take_word(const Renderer *renderer, size_t *position, const char *word)
{
    size_t end = *position;

    if (!take(renderer, &end, word) || in_name(at(renderer, end)))
        return false;
    *position = end;
    skip_line_end(renderer, position);
    return true;
}

/* At a '#'. 1: it was a directive and is done; 0: it is text; negative: an error. */
static int render_directive(Renderer *renderer, BlockType type, bool emit, size_t *position, Stop *ret_stop)
{
    size_t end = *position, opened = *position;
    Reference condition;
    Loop loop;
    int r;

    if (type != BLOCK_TEXT && take_word(renderer, position, "#end")) {
        *ret_stop = STOP_END;
        return 1;
    }
    if (type == BLOCK_IF && take_word(renderer, position, "#else")) {
        *ret_stop = STOP_ELSE;
        return 1;
    }
    if (type == BLOCK_IF && take(renderer, &end, "#elseif") && !in_name(at(renderer, end)))
        return fail_at(renderer, opened, EINVAL, "#elseif is not known here; put an #if within an #else");
    end = *position;
    if (take(renderer, &end, "#if") && take_condition(renderer, &end, &condition)) {
        skip_line_end(renderer, &end);
        r = render_if(renderer, &condition, emit, opened, &end);
    } else if (end = *position, take(renderer, &end, "#foreach") && take_loop(renderer, &end, &loop)) {
        skip_line_end(renderer, &end);
        r = render_foreach(renderer, &loop, emit, opened, &end);
    } else {
        return 0;
    }
    *position = end;
    return r < 0 ? r : 1;
}

/* --- text ----------------------------------------------------------------------------------- */

static int put(Renderer *renderer, bool emit, const char *text, size_t size, size_t position)
{
    renderer->work += size;
    if (renderer->work > TEMPLATE_WORK_MAX)
        return fail_at(renderer, position, EFBIG, "the template's loops take too long");
    if (!emit)
        return 0;
    if (renderer->out.size + size > TEMPLATE_OUTPUT_MAX)
        return fail_at(renderer, position, EFBIG, "what the template makes is larger than 4 MiB");
    buffer_append(&renderer->out, text, size);
    return 0;
}

/* At a '$': the value, or the reference as it stands. */
static int render_reference(Renderer *renderer, bool emit, size_t *position)
{
    size_t start = *position;
    Reference reference;
    const char *value;

    if (!take_reference(renderer, position, &reference)) {
        (*position)++;
        return put(renderer, emit, "$", 1, start);
    }
    value = emit ? resolve(renderer, &reference) : NULL;
    if (value)
        return put(renderer, emit, value, strlen(value), start);
    return put(renderer, emit, renderer->text + start, *position - start, start);
}

/* From `position` to the end of the text or of the block. */
static int render_block(Renderer *renderer, BlockType type, bool emit, size_t *position, Stop *ret_stop)
{
    *ret_stop = STOP_TEXT;
    renderer->work += 16; /* empty ones, too */
    while (*position < renderer->size) {
        const char *start = renderer->text + *position;
        size_t plain = 0, left = renderer->size - *position;
        int r;

        while (plain < left && start[plain] != '$' && start[plain] != '#')
            plain++;
        r = put(renderer, emit, start, plain, *position);
        *position += plain;
        if (r < 0 || plain == left)
            return r;
        if (at(renderer, *position) == '$') {
            r = render_reference(renderer, emit, position);
        } else {
            r = render_directive(renderer, type, emit, position, ret_stop);
            if (r == 0) {
                r = put(renderer, emit, "#", 1, *position);
                (*position)++;
            }
        }
        if (r < 0 || *ret_stop != STOP_TEXT)
            return r < 0 ? r : 0;
    }
    return 0;
}

int template_render(const char *text, size_t size, const TemplateContext *context, char **ret, size_t *ret_size,
                    InaError *error)
{
    Renderer renderer = {.text = text, .size = size, .context = context, .error = error};
    size_t position = 0;
    Stop stop;
    int r = 0;

    *ret = NULL;
    *ret_size = 0;
    if (size == 0 || memchr(text, '\0', size) || (!memchr(text, '$', size) && !memchr(text, '#', size)))
        return 0;
    if (size > TEMPLATE_OUTPUT_MAX)
        return 0; /* larger than anything that a person wrote */
    r = render_block(&renderer, BLOCK_TEXT, true, &position, &stop);
    if (r == 0 && renderer.out.failed)
        r = ina_error_errno(error, ENOMEM, "template");
    if (r < 0 || (renderer.out.size == size && memcmp(renderer.out.data, text, size) == 0)) {
        buffer_free(&renderer.out);
        return r;
    }
    buffer_append(&renderer.out, "", 0); /* a NUL also behind nothing */
    *ret_size = renderer.out.size;
    *ret = renderer.out.data ? renderer.out.data : strdup("");
    return *ret ? 0 : ina_error_errno(error, ENOMEM, "template");
}
