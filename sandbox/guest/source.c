/* The source of a program: its text, the places in it, and the form that it has.

   Agents write programs in whatever form comes to mind, so each is compiled (never run) in turn until one fits:
     1. an expression            async () => {...}    {a: 1}    await codemode.x()
     2. a script                 top-level await; the value of the last expression statement counts
     3. the body of a function   top-level return
     4. a module                 export default
   (A source that begins with a declaration is tried as a script first, and one that begins with `return`, which can be
   nothing else, as a body.)
   When nothing fits, the error told is the one that lies furthest in the source: that form was the one meant.

   What a form needs around the source is written into the room that is kept around its one copy, in a line before it
   and a line behind it: lines and columns stay the agent's own. */
#include "guest.h"
#include "heap.h"

static const char *source; /* NULL before source_keep; a zero byte follows it, except while it is compiled */
static size_t source_length;
static int import_line; /* while a module is compiled: its first `import` or `export`; -1: an import was refused */

/* ---- positions --------------------------------------------------------------------------------------------------- */

static const char *line_start(int line)
{
    const char *p = source, *end = source + source_length;
    while (p && --line > 0) {
        p = memchr(p, '\n', end - p);
        p = p ? p + 1 : NULL;
    }
    return p;
}

int source_column(int line, int byte_column)
{
    const char *p = line_start(line), *end = source + source_length;
    int column = 1;
    for (int i = 1; p && i < byte_column && p < end && *p != '\n'; i++, p++)
        column += (p[1] & 0xc0) != 0x80; /* the engine counts UTF-8 bytes; people and editors count characters */
    return p ? column : byte_column;
}

static bool is_name_byte(char c)
{
    return c == '_' || c == '$' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c & 0x80);
}

size_t source_callee(int line, int byte_column, const char **text)
{
    const char *start = line_start(line), *end = source + source_length;
    if (!start || byte_column < 1 || byte_column > end - start)
        return 0;
    const char *first = start + byte_column - 1, *last = first;
    while (last < end && is_name_byte(*last))
        last++;
    while (first > start && first < last && (is_name_byte(first[-1]) || first[-1] == '.'))
        first--;
    *text = first;
    return last - first <= 80 ? last - first : 0;
}

/* Where a syntax error lies, as an offset in the source: what the wrapping added counts as its end. */
static size_t error_offset(JSContext *ctx, JSValueConst error)
{
    JSValue stack = engine_error_stack(ctx, error);
    const char *at = JS_IsString(stack) ? JS_ToCString(ctx, stack) : NULL;
    int line = 0, column = 0;
    if (at)
        sscanf(at, "    at " PROGRAM_NAME ":%d:%d", &line, &column);
    JS_FreeCString(ctx, at);
    JS_FreeValue(ctx, stack);
    const char *start = line > 0 ? line_start(line) : source;
    size_t offset = start ? start - source + (column > 0 ? column - 1 : 0) : source_length;
    return offset < source_length ? offset : source_length;
}

/* An error of the same kind and message, placed in the source. */
static JSValue place_error(JSContext *ctx, JSValue error, int line, int column)
{
    char stack[64];
    snprintf(stack, sizeof(stack), "    at " PROGRAM_NAME ":%d:%d\n", line, column);
    JSValue prototype = JS_GetPrototype(ctx, error);
    JSValue placed = engine_new_error(ctx, prototype, JS_NewString(ctx, stack));
    JS_DefinePropertyValueStr(ctx, placed, "message", JS_GetPropertyStr(ctx, error, "message"),
                              JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE);
    JS_FreeValue(ctx, prototype);
    JS_FreeValue(ctx, error);
    return placed;
}

static void find_position(const char *at, int *line, int *column)
{
    *line = *column = 1;
    for (const char *p = source; p < at; p++) {
        *column = *p == '\n' ? 1 : *column + 1;
        *line += *p == '\n';
    }
}

/* The first line that begins with `import` or `export`, or 0. */
static int find_module_line(void)
{
    int line = 1;
    for (const char *p = source; p && *p; line++) {
        p += strspn(p, " \t");
        if ((!strncmp(p, "import", 6) || !strncmp(p, "export", 6)) && strchr(" \t{*\"'", p[6]) && p[6])
            return line;
        p = strchr(p, '\n');
        p = p ? p + 1 : NULL;
    }
    return 0;
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

static const char *skip_trivia(const char *p)
{
    for (;;) {
        p += strspn(p, " \t\r\n;");
        if (p[0] == '/' && p[1] == '/') {
            p += strcspn(p, "\n");
        } else if (p[0] == '/' && p[1] == '*') {
            const char *end = strstr(p + 2, "*/");
            p = end ? end + 2 : p + strlen(p);
        } else if (!strncmp(p, "\"use strict\"", 12) || !strncmp(p, "'use strict'", 12)) {
            p += 12;
        } else {
            return p;
        }
    }
}

/* At a `(` that begins an expression the engine reads on to the `)` that closes it, to see whether an arrow follows: the
   whole source would be read twice. Behind an operator it cannot be the head of an arrow function. */
static const char before_expression[] = "0||(\n", after_expression[] = "\n)";
static const char before_body[] = "0||(async function () {\n", after_body[] = "\n})";

bool source_keep(const char *given, size_t length)
{
    size_t room = sizeof(before_body) + sizeof(after_body);
    if (length >= 3 && !memcmp(given, "\xef\xbb\xbf", 3)) {
        given += 3;
        length -= 3;
    }
    char *text = heap_alloc(length + room);
    if (!text)
        return false;
    char *copy = text + strlen(before_body);
    memcpy(copy, given, length);
    copy[length] = 0;
    if (length >= 2 && copy[0] == '#' && copy[1] == '!')
        copy[0] = copy[1] = '/'; /* a comment in every form, not only in a script */
    source = copy;
    source_length = length;
    return true;
}

static JSValue compile(JSContext *ctx, Form candidate)
{
    /* Each form has a line before the source, which does not count (the first is 0): columns that the engine notes in
       the first line of all are one too small. */
    const char *before = candidate == BODY ? before_body : candidate == EXPRESSION ? before_expression : "\n";
    const char *after = candidate == BODY ? after_body : candidate == EXPRESSION ? after_expression : "";
    int flags = candidate == MODULE ? JS_EVAL_TYPE_MODULE
                : candidate == BODY ? JS_EVAL_TYPE_GLOBAL
                                    : JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_ASYNC;
    char *begin = (char *)source - strlen(before), *end = (char *)source + source_length;
    memcpy(begin, before, strlen(before));
    strcpy(end, after);
    JSValue compiled = engine_compile(ctx, begin, end + strlen(after) - begin, 0, flags);
    *end = 0;
    return compiled;
}

static bool begins_with(const char *word)
{
    const char *p = skip_trivia(source);
    size_t length = strlen(word);
    return !strncmp(p, word, length) && strchr(" \t\r\n*({/;", p[length]);
}

static const Form *order_of_forms(void)
{
    static const Form expression_first[] = {EXPRESSION, SCRIPT, BODY, MODULE};
    static const Form script_first[] = {SCRIPT, EXPRESSION, BODY, MODULE};
    static const Form body_first[] = {BODY, EXPRESSION, SCRIPT, MODULE};
    /* `function f() {}` and, on the next line, `(async () => ...)()` is one expression too: f called with the arrow. */
    if (begins_with("async function") || begins_with("function") || begins_with("class") || begins_with("const"))
        return script_first;
    return begins_with("return") ? body_first : expression_first;
}

/* Whose error is told when several lie at one place. */
static const int rank_of_error[] = {[EXPRESSION] = 0, [BODY] = 1, [SCRIPT] = 2, [MODULE] = 3};

JSValue source_compile(JSContext *ctx, Form *form)
{
    const Form *order = order_of_forms();
    int module_line = find_module_line();
    JSValue compiled = JS_EXCEPTION, best = JS_UNDEFINED;
    size_t best_offset = 0;
    Form best_form = EXPRESSION;
    for (int i = 0; i < 4 && JS_IsException(compiled); i++) {
        Form candidate = order[i];
        if (candidate == MODULE && !module_line)
            break;
        import_line = candidate == MODULE ? module_line : 0;
        compiled = compile(ctx, candidate);
        if (!JS_IsException(compiled)) {
            *form = candidate;
            break;
        }
        JSValue error = JS_GetException(ctx);
        size_t offset = candidate == MODULE && import_line < 0 ? source_length : error_offset(ctx, error);
        if (offset == source_length && candidate != MODULE) {
            int line, column; /* the engine complains of an empty token, or of what was put behind the source */
            find_position(source + source_length, &line, &column);
            JS_FreeValue(ctx, error);
            error = place_error(ctx, JS_NewSyntaxError(ctx, "unexpected end of input"), line, column);
        }
        if (JS_IsUndefined(best) || offset > best_offset ||
            (offset == best_offset && rank_of_error[candidate] > rank_of_error[best_form])) {
            JS_FreeValue(ctx, best);
            best = error;
            best_offset = offset;
            best_form = candidate;
        } else {
            JS_FreeValue(ctx, error);
        }
    }
    import_line = 0;
    if (JS_IsException(compiled))
        return JS_Throw(ctx, best);
    JS_FreeValue(ctx, best);
    return compiled;
}

JSModuleDef *source_refuse_import(JSContext *ctx, const char *specifier, void *opaque)
{
    JSValue error = JS_NewTypeError(ctx, "import of \"%.100s\" is not available in this isolate: there are no modules; "
                                         "everything there is comes as globals and as methods of %s",
                                    specifier, namespace_name);
    if (import_line > 0) {
        error = place_error(ctx, error, import_line, 1);
        import_line = -1; /* the module was understood: this is the error to tell */
    } else { /* import() runs as a job, without a stack; there is seldom more than one in a source */
        const char *at = strstr(source, "import(");
        int line, column;
        if (at && !strstr(at + 1, "import(")) {
            find_position(at, &line, &column);
            error = place_error(ctx, error, line, column);
        }
    }
    JS_Throw(ctx, error);
    return NULL;
}

/* ---- functions that are only declared ---------------------------------------------------------------------------- */

JSValue source_uncalled_function(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx), chosen = JS_UNDEFINED;
    JSPropertyEnum *names;
    uint32_t count;
    int chosen_rank = 0;
    /* The standard globals are not enumerable; what a script declares is. */
    if (JS_GetOwnPropertyNames(ctx, &names, &count, global, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        count = 0;
    const char *p = skip_trivia(source);
    for (bool is_found = count > 0; is_found && *p;) {
        is_found = false;
        for (uint32_t i = 0; i < count && !is_found; i++) {
            JSValue value = JS_GetProperty(ctx, global, names[i].atom);
            size_t length;
            const char *declaration = engine_function_source(value, &length);
            if (declaration && length && !strncmp(p, declaration, length)) {
                const char *name = JS_AtomToCString(ctx, names[i].atom);
                int rank = !name ? 0 : !strcmp(name, "main") ? 3 : !strcmp(name, "run") ? 2 : 1;
                JS_FreeCString(ctx, name);
                if (rank >= chosen_rank) {
                    JS_FreeValue(ctx, chosen);
                    chosen = JS_DupValue(ctx, value);
                    chosen_rank = rank;
                }
                p = skip_trivia(p + length);
                is_found = true;
            }
            JS_FreeValue(ctx, value);
        }
    }
    if (*p) {
        JS_FreeValue(ctx, chosen);
        chosen = JS_UNDEFINED;
    }
    if (count)
        JS_FreePropertyEnum(ctx, names, count);
    JS_FreeValue(ctx, global);
    return chosen;
}
