/* The program: which form its source has, and the state of its run from there to the end record.

   Agents write programs in whatever form comes to mind, so each is compiled (never run) in turn until one fits:
     1. an expression            async () => {...}    {a: 1}    await codemode.x()
     2. a script                 top-level await; the value of the last expression statement counts
     3. the body of a function   top-level return
     4. a module                 export default
   (A source that begins with a declaration is tried as a script first.)
   A function that comes out is called, once, without arguments. When nothing fits, the error told is the one that
   lies furthest in the source: that form was the one meant. */
#include "guest.h"
#include "heap.h"

JSValue setup_hints = JS_UNDEFINED;
char namespace_name[64];

typedef enum { EXPRESSION, SCRIPT, BODY, MODULE } Form;

typedef enum {
    EVALUATING, /* `current` is the promise of the script or module */
    AWAITING,   /* `current` is the promise of the value */
    FULFILLED,  /* `current` is the value */
    REJECTED,   /* `current` is what was thrown */
} Phase;

static Form form;
static Phase phase;
static JSValue current = JS_UNDEFINED;
static JSModuleDef *module;
static bool is_called; /* a function that came out was called: a function that it returns is a value */
static int import_line;
static bool is_syntax_error; /* no form could be compiled */

static const char *source; /* the agent's, inside `text` */
static size_t source_length;
static char *text;

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

int program_column(int line, int byte_column)
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

size_t program_callee(int line, int byte_column, const char **text)
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

static const char before_expression[] = "(\n", after_expression[] = "\n)";
static const char before_body[] = "(async function () {\n", after_body[] = "\n})";

static bool copy_source(const char *given, size_t length)
{
    size_t room = sizeof(before_body) + sizeof(after_body);
    if (length >= 3 && !memcmp(given, "\xef\xbb\xbf", 3)) {
        given += 3;
        length -= 3;
    }
    text = heap_alloc(length + room);
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

static void fail(JSContext *ctx, JSValue thrown)
{
    JS_FreeValue(ctx, current);
    current = thrown;
    phase = REJECTED;
}

/* Follows a value: a function is called, a promise awaited. Takes the value over. */
static void follow(JSContext *ctx, JSValue value)
{
    if (!JS_IsException(value) && JS_IsFunction(ctx, value) && !is_called) {
        is_called = true;
        JSValue result = JS_Call(ctx, value, JS_UNDEFINED, 0, NULL);
        JS_FreeValue(ctx, value);
        value = result;
    }
    if (!JS_IsException(value) && JS_IsObject(value) && !JS_IsPromise(value)) {
        JSValue promise = JS_NewSettledPromise(ctx, false, value); /* a thenable is awaited as `await` would */
        JS_FreeValue(ctx, value);
        value = promise;
    }
    if (JS_IsException(value)) {
        fail(ctx, JS_GetException(ctx));
        return;
    }
    JS_FreeValue(ctx, current);
    current = value;
    phase = JS_IsPromise(value) ? AWAITING : FULFILLED;
}

/* `function f() {}` and, on the next line, `(async () => ...)()` is one expression too: f called with the arrow. */
static bool begins_with_declaration(void)
{
    static const char *const words[] = {"async function", "function", "class"};
    const char *p = skip_trivia(source);
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (!strncmp(p, words[i], length) && strchr(" \t\r\n*({/", p[length]))
            return true;
    }
    return false;
}

void program_load(JSContext *ctx, const char *given, size_t length)
{
    if (length > limits.source_bytes) {
        report_throw_limit(ctx, "source_bytes", limits.source_bytes, length);
        fail(ctx, JS_GetException(ctx));
        return;
    }
    if (!copy_source(given, length)) {
        JS_ThrowOutOfMemory(ctx);
        fail(ctx, JS_GetException(ctx));
        return;
    }
    static const Form expression_first[] = {EXPRESSION, SCRIPT, BODY, MODULE};
    static const Form script_first[] = {SCRIPT, EXPRESSION, BODY, MODULE};
    const Form *order = begins_with_declaration() ? script_first : expression_first;
    /* Whose error is told when several lie at one place. */
    static const int rank[] = {[EXPRESSION] = 0, [BODY] = 1, [SCRIPT] = 2, [MODULE] = 3};
    int module_line = find_module_line();
    JSValue compiled = JS_EXCEPTION, best = JS_UNDEFINED;
    size_t best_offset = 0;
    Form best_form = EXPRESSION;
    for (int i = 0; i < 4 && JS_IsException(compiled); i++) {
        if (order[i] == MODULE && !module_line)
            break;
        form = order[i];
        import_line = form == MODULE ? module_line : 0;
        compiled = compile(ctx, form);
        if (!JS_IsException(compiled))
            break;
        JSValue error = JS_GetException(ctx);
        size_t offset = form == MODULE && import_line < 0 ? source_length : error_offset(ctx, error);
        if (offset == source_length && form != MODULE) {
            int line, column; /* the engine complains of an empty token, or of what was put behind the source */
            find_position(source + source_length, &line, &column);
            JS_FreeValue(ctx, error);
            error = place_error(ctx, JS_NewSyntaxError(ctx, "unexpected end of input"), line, column);
        }
        if (JS_IsUndefined(best) || offset > best_offset || (offset == best_offset && rank[form] > rank[best_form])) {
            JS_FreeValue(ctx, best);
            best = error;
            best_offset = offset;
            best_form = form;
        } else {
            JS_FreeValue(ctx, error);
        }
    }
    import_line = 0;
    if (JS_IsException(compiled)) {
        is_syntax_error = true;
        fail(ctx, best);
        return;
    }
    JS_FreeValue(ctx, best);
    if (form == MODULE)
        module = JS_VALUE_GET_PTR(compiled);
    JSValue evaluated = JS_EvalFunction(ctx, compiled);
    if (form == BODY || JS_IsException(evaluated)) {
        follow(ctx, evaluated);
    } else {
        current = evaluated;
        phase = EVALUATING;
    }
}

JSModuleDef *program_refuse_import(JSContext *ctx, const char *specifier, void *opaque)
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

/* ---- a script's value -------------------------------------------------------------------------------------------- */

/* The function to call in a script that only declares functions and calls none: `main`, else `run`, else the last.
   Undefined when the source holds anything else, which may have called it already. */
static JSValue uncalled_function(JSContext *ctx)
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

static JSValue module_value(JSContext *ctx)
{
    static const char *const names[] = {"default", "main", "run"};
    JSValue exports = JS_GetModuleNamespace(ctx, module), value = JS_UNDEFINED;
    for (int i = 0; i < 3 && JS_IsUndefined(value); i++)
        value = JS_GetPropertyStr(ctx, exports, names[i]);
    JS_FreeValue(ctx, exports);
    return value;
}

static JSValue completion_value(JSContext *ctx, JSValueConst evaluated)
{
    if (form == MODULE)
        return module_value(ctx);
    JSValue value = JS_GetPropertyStr(ctx, evaluated, "value"); /* {value}, made by the engine */
    if (form != SCRIPT)
        return value;
    bool is_directive = false;
    if (JS_IsString(value)) {
        const char *directive = JS_ToCString(ctx, value);
        is_directive = directive && !strcmp(directive, "use strict");
        JS_FreeCString(ctx, directive);
    }
    if (!JS_IsUndefined(value) && !is_directive)
        return value;
    JSValue function = uncalled_function(ctx);
    if (JS_IsUndefined(function))
        return value;
    JS_FreeValue(ctx, value);
    return function;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* Looks at the promise that the run hangs on; true when that moved. */
static bool step(JSContext *ctx)
{
    if (phase >= FULFILLED)
        return false;
    JSPromiseStateEnum state = JS_PromiseState(ctx, current);
    if (state == JS_PROMISE_PENDING)
        return false;
    JSValue result = JS_PromiseResult(ctx, current);
    JS_PromiseMarkAsHandled(ctx, current);
    if (state == JS_PROMISE_REJECTED) {
        fail(ctx, result);
    } else if (phase == EVALUATING) {
        JSValue value = completion_value(ctx, result);
        JS_FreeValue(ctx, result);
        follow(ctx, value);
    } else {
        JS_FreeValue(ctx, current);
        current = result;
        phase = FULFILLED;
    }
    return true;
}

static void write_end(JSContext *ctx, Buffer *outcome)
{
    Buffer record = {0};
    buffer_text(&record, "{");
    if (outcome->length) {
        buffer_put(&record, outcome->bytes, outcome->length);
        buffer_text(&record, ",");
    }
    buffer_text(&record, "\"unhandled\":");
    report_unhandled(ctx, &record);
    buffer_text(&record, ",\"unawaited_calls\":");
    uint32_t unawaited = bridge_unawaited(&record);
    buffer_text(&record, ",\"unawaited\":");
    buffer_number(&record, unawaited);
    buffer_text(&record, ",\"dropped_timers\":");
    buffer_number(&record, timers_pending());
    buffer_text(&record, "}");
    if (outcome->failed || !outbox_put('E', &record)) {
        Buffer last = {0};
        buffer_text(&last, "{\"error\":");
        report_limit(&last, "memory_bytes", limits.memory_bytes, limits.memory_bytes);
        buffer_text(&last, ",\"unhandled\":[],\"unawaited_calls\":[],\"unawaited\":0,\"dropped_timers\":0}");
        outbox_put('E', &last);
        buffer_free(&last);
    }
    buffer_free(&record);
    buffer_free(outcome);
}

static void end_with_limit(JSContext *ctx, const char *limit, uint64_t max, uint64_t used)
{
    Buffer outcome = {0};
    buffer_text(&outcome, "\"error\":");
    report_limit(&outcome, limit, max, used);
    write_end(ctx, &outcome);
}

void program_end_out_of_memory(JSContext *ctx)
{
    end_with_limit(ctx, "memory_bytes", limits.memory_bytes, memory_refused);
}

/* Everything is settled: write the end record. False when the value holds a promise that a timer may still settle. */
static bool try_end(JSContext *ctx)
{
    Buffer outcome = {0};
    JsonWriter writer = {.out = &outcome, .depth_max = RESULT_DEPTH_MAX, .awaits = true, .offending = JS_UNDEFINED};
    JsonStatus status = JSON_ABSENT;
    bridge_close(true);
    if (phase == FULFILLED) {
        buffer_text(&outcome, "\"value\":");
        writer.bytes_max = limits.result_bytes + outcome.length;
        status = json_write(ctx, &writer, current);
    }
    if (status != JSON_OK)
        outcome.length = 0;
    switch (status) {
    case JSON_OK:
        break;
    case JSON_ABSENT:
        break;
    case JSON_PROMISE_PENDING:
        buffer_free(&outcome);
        bridge_close(false);
        return false;
    case JSON_TOO_LARGE:
        buffer_text(&outcome, "\"error\":");
        report_limit(&outcome, "result_bytes", limits.result_bytes, writer.bytes - strlen("\"value\":"));
        break;
    case JSON_TOO_DEEP:
        buffer_text(&outcome, "\"error\":");
        report_limit(&outcome, "result_depth", RESULT_DEPTH_MAX, RESULT_DEPTH_MAX + 1);
        break;
    case JSON_PROMISE_REJECTED: {
        JSValue reason = JS_PromiseResult(ctx, writer.offending);
        JS_FreeValue(ctx, writer.offending);
        fail(ctx, reason);
        break;
    }
    case JSON_EXCEPTION:
        fail(ctx, JS_GetException(ctx));
        break;
    default:
        outcome.failed = true;
    }
    memory_reserve = REPORT_RESERVE_BYTES;
    if (phase == REJECTED) {
        buffer_text(&outcome, "\"error\":");
        report_error(ctx, &outcome, current, is_syntax_error);
    }
    if (report_is_interrupted())
        buffer_free(&outcome);
    else
        write_end(ctx, &outcome);
    return true;
}

static bool run_one_job(JSContext *ctx)
{
    JSContext *job_context;
    int ran = JS_ExecutePendingJob(JS_GetRuntime(ctx), &job_context);
    if (ran < 0)
        report_uncaught(ctx);
    return ran != 0;
}

bool program_advance(JSContext *ctx)
{
    for (;;) {
        while (!report_is_interrupted() && run_one_job(ctx))
            ;
        if (report_is_interrupted())
            return true;
        if (step(ctx))
            continue;
        if (phase >= FULFILLED && control.calls_outstanding == 0 && try_end(ctx))
            return true;
        if (!timers_run_one(ctx))
            break;
    }
    return false;
}
