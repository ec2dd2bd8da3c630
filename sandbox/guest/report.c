/* What the host is told besides the result: log lines, limit errors, errors nobody caught.

   An error is read once, field by field: it may be a Proxy or have getters that throw, and whatever fails is left
   out. Positions come from the stack text that the engine stored, which a program can hide but not forge, and only
   frames of the agent's own source are passed on. */
#include "guest.h"
#include "heap.h"

enum {
    UNHANDLED_MAX = 256, /* promises followed at once; of more, the first are told */
    MESSAGE_SHORT = 160, /* of our own */
    ADVICE_BYTES_MAX = 512,
};

static struct {
    JSValue promise; /* undefined: thrown by a timer or a job, nothing can handle it any more */
    JSValue reason;
} unhandled[UNHANDLED_MAX];
static uint32_t unhandled_count;

static struct {
    JSValue error; /* told by identity: a program may throw an error of the same name */
    char limit[24];
    uint64_t max, used;
} raised;

static JSValue make_limit_error = JS_UNDEFINED; /* (message, limit, max, used) => LimitError, prelude/limits.js */
static bool interrupted;
static uint64_t log_bytes;

/* ---- unhandled rejections ---------------------------------------------------------------------------------------- */

static void add_unhandled(JSContext *ctx, JSValueConst promise, JSValueConst reason)
{
    if (unhandled_count == UNHANDLED_MAX)
        return;
    unhandled[unhandled_count].promise = JS_DupValue(ctx, promise);
    unhandled[unhandled_count++].reason = JS_DupValue(ctx, reason);
}

void report_forget(JSContext *ctx, JSValueConst promise)
{
    for (uint32_t i = 0; i < unhandled_count; i++) {
        if (!JS_IsObject(unhandled[i].promise) ||
            JS_VALUE_GET_PTR(unhandled[i].promise) != JS_VALUE_GET_PTR(promise))
            continue;
        JS_FreeValue(ctx, unhandled[i].promise);
        JS_FreeValue(ctx, unhandled[i].reason);
        memmove(&unhandled[i], &unhandled[i + 1], (--unhandled_count - i) * sizeof(unhandled[0]));
        return;
    }
}

static void track_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool is_handled, void *opaque)
{
    if (is_handled)
        report_forget(ctx, promise);
    else
        add_unhandled(ctx, promise, reason);
}

void report_uncaught(JSContext *ctx)
{
    JSValue reason = JS_GetException(ctx);
    if (JS_IsUncatchableError(reason))
        interrupted = true;
    else
        add_unhandled(ctx, JS_UNDEFINED, reason);
    JS_FreeValue(ctx, reason);
}

static int poll_interrupt(JSRuntime *rt, void *opaque)
{
    if (control.interrupt)
        interrupted = true;
    return interrupted;
}

bool report_is_interrupted(void)
{
    return interrupted;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void limit_message(char text[MESSAGE_SHORT], const char *limit, uint64_t max, uint64_t used)
{
    snprintf(text, MESSAGE_SHORT, "%s: the limit is %llu, this run has reached %llu", limit, (unsigned long long)max,
             (unsigned long long)used);
}

JSValue report_throw_limit(JSContext *ctx, const char *limit, uint64_t max, uint64_t used)
{
    char text[MESSAGE_SHORT];
    limit_message(text, limit, max, used);
    JSValue arguments[] = {JS_NewString(ctx, text), JS_NewString(ctx, limit), JS_NewFloat64(ctx, (double)max),
                           JS_NewFloat64(ctx, (double)used)};
    JSValue error = JS_Call(ctx, make_limit_error, JS_UNDEFINED, 4, (JSValueConst *)arguments);
    JS_FreeValue(ctx, arguments[0]);
    JS_FreeValue(ctx, arguments[1]);
    if (JS_IsException(error))
        return error;
    JS_FreeValue(ctx, raised.error);
    raised.error = JS_DupValue(ctx, error);
    snprintf(raised.limit, sizeof(raised.limit), "%s", limit);
    raised.max = max;
    raised.used = used;
    return JS_Throw(ctx, error);
}

static void write_limit_fields(Buffer *out, const char *limit, uint64_t max, uint64_t used)
{
    buffer_text(out, ",\"limit\":");
    json_string(out, limit, strlen(limit));
    buffer_text(out, ",\"max\":");
    buffer_number(out, max);
    buffer_text(out, ",\"used\":");
    buffer_number(out, used);
}

void report_limit(Buffer *out, const char *limit, uint64_t max, uint64_t used)
{
    char text[MESSAGE_SHORT];
    limit_message(text, limit, max, used);
    buffer_text(out, "{\"name\":\"LimitError\",\"message\":");
    json_string(out, text, strlen(text));
    write_limit_fields(out, limit, max, used);
    buffer_text(out, "}");
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void forget_exception(JSContext *ctx)
{
    JSValue exception = JS_GetException(ctx);
    if (JS_IsUncatchableError(exception))
        interrupted = true;
    JS_FreeValue(ctx, exception);
}

/* A string property as text in C, or NULL; getters run at most this once. The caller frees it with heap_free(). */
static char *text_property(JSContext *ctx, JSValueConst object, const char *property)
{
    JSValue value = JS_GetPropertyStr(ctx, object, property);
    char *copy = NULL;
    if (JS_IsException(value)) {
        forget_exception(ctx);
    } else if (JS_IsString(value)) {
        const char *text = JS_ToCString(ctx, value);
        copy = text ? heap_copy_text(text, MESSAGE_BYTES_MAX) : NULL;
        JS_FreeCString(ctx, text);
    }
    JS_FreeValue(ctx, value);
    return copy;
}

/* What was thrown, when it is no Error: text as it is, anything else as JSON. */
static void write_thrown(JSContext *ctx, Buffer *out, JSValueConst thrown)
{
    if (JS_IsString(thrown) || JS_IsBigInt(thrown)) {
        JSValue string = JS_ToString(ctx, thrown); /* of a primitive: runs no guest code */
        if (!JS_IsException(string))
            json_js_string(ctx, out, string, MESSAGE_BYTES_MAX);
        JS_FreeValue(ctx, string);
        return;
    }
    Buffer text = {0};
    JsonWriter writer = {.out = &text, .bytes_max = MESSAGE_BYTES_MAX, .depth_max = 8, .awaits = true};
    JsonStatus status = json_write(ctx, &writer, thrown);
    JS_FreeValue(ctx, writer.offending);
    if (status == JSON_EXCEPTION)
        forget_exception(ctx);
    if (status == JSON_OK)
        json_string(out, (char *)text.bytes, text.length);
    else if (JS_IsUndefined(thrown))
        json_string(out, "undefined", 9);
    else
        json_string(out, "a value that cannot be shown", 28);
    buffer_free(&text);
}

/* The message with `: advice` after it. */
static char *append_advice(char *message, const char *advice)
{
    size_t length = strlen(message), more = strlen(advice);
    char *longer = heap_resize(message, length + 2 + more + 1);
    if (!longer)
        return message;
    memcpy(longer + length, ": ", 2);
    memcpy(longer + length + 2, advice, more + 1);
    return longer;
}

/* `fetch is not defined` -> `fetch is not defined: what to do instead`. */
static char *add_advice(JSContext *ctx, char *message)
{
    static const char undefined[] = " is not defined";
    char advice[ADVICE_BYTES_MAX];
    size_t length = strlen(message), tail = sizeof(undefined) - 1;
    if (length <= tail || strcmp(message + length - tail, undefined) ||
        !advice_for(ctx, message, length - tail, advice, sizeof(advice)))
        return message;
    return append_advice(message, advice);
}

static bool read_number(const char **text, int *number)
{
    *number = 0;
    if (**text < '0' || **text > '9')
        return false;
    while (**text >= '0' && **text <= '9' && *number < 10000000)
        *number = *number * 10 + (*(*text)++ - '0');
    return true;
}

/* `    at name (program:3:9)`, or `    at program:3:9` for a syntax error. */
static bool read_frame(const char *line, const char *end, Frame *frame)
{
    static const char marker[] = PROGRAM_NAME ":";
    const char *at = NULL, *name = line + strlen("    at ");
    if (end - line < 8 || strncmp(line, "    at ", 7))
        return false;
    for (const char *p = end - strlen(marker); p >= name; p--) { /* the last one: a function's name may hold anything */
        if (!strncmp(p, marker, strlen(marker))) {
            at = p;
            break;
        }
    }
    if (!at || (at != name && (at - name < 2 || at[-1] != '(')))
        return false;
    size_t length = at == name ? 0 : at - name - 2;
    if (length >= sizeof(frame->function))
        length = sizeof(frame->function) - 1;
    memcpy(frame->function, name, length);
    frame->function[length] = 0;
    at += strlen(marker);
    return read_number(&at, &frame->line) && *at++ == ':' && read_number(&at, &frame->column);
}

/* The engine says only `not a function`; what was called is in the source, where it says so. */
static char *add_callee(JSContext *ctx, JSValueConst error, char *message)
{
    JSValue stack = engine_error_stack(ctx, error);
    const char *text = JS_IsString(stack) ? JS_ToCString(ctx, stack) : NULL, *end = text ? strchr(text, '\n') : NULL;
    const char *callee;
    Frame frame;
    size_t length = end && read_frame(text, end, &frame) ? source_callee(frame.line, frame.column, &callee) : 0;
    char *better = length ? heap_alloc(length + sizeof(" is not a function")) : NULL;
    if (better) {
        memcpy(better, callee, length);
        strcpy(better + length, " is not a function");
        heap_free(message);
        message = better;
        static const char global[] = "globalThis.";
        char advice[ADVICE_BYTES_MAX];
        size_t prefix = sizeof(global) - 1;
        if (length > prefix && !memcmp(callee, global, prefix) &&
            advice_for(ctx, callee + prefix, length - prefix, advice, sizeof(advice)))
            message = append_advice(message, advice);
    }
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, stack);
    return message;
}

static void write_position(JSContext *ctx, Buffer *out, JSValueConst error, bool with_frames)
{
    JSValue stack = engine_error_stack(ctx, error);
    const char *text = JS_IsString(stack) ? JS_ToCString(ctx, stack) : NULL;
    Frame frame;
    int count = 0;
    for (const char *line = text, *end; line && *line && count < FRAMES_MAX; line = *end ? end + 1 : end) {
        end = strchr(line, '\n');
        if (!end)
            end = line + strlen(line);
        if (!read_frame(line, end, &frame))
            continue;
        if (frame.line < 1) /* in the line that was put before an expression */
            frame.line = frame.column = 1;
        int column = source_column(frame.line, frame.column);
        if (!count) {
            buffer_text(out, ",\"line\":");
            buffer_number(out, frame.line);
            buffer_text(out, ",\"column\":");
            buffer_number(out, column);
            if (!with_frames)
                break;
        }
        buffer_text(out, count++ ? ",{\"function\":" : ",\"frames\":[{\"function\":");
        bool is_nameless = frame.function[0] == '<'; /* <eval>, <anonymous> */
        json_string(out, frame.function, is_nameless ? 0 : strlen(frame.function));
        buffer_text(out, ",\"line\":");
        buffer_number(out, frame.line);
        buffer_text(out, ",\"column\":");
        buffer_number(out, column);
        buffer_text(out, "}");
    }
    if (count)
        buffer_text(out, "]");
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, stack);
}

/* The error's own fields (ToolError's server, tool, code, data; whatever the program added). */
static void write_fields(JSContext *ctx, Buffer *out, JSValueConst error)
{
    Buffer text = {0};
    JsonWriter writer = {.out = &text, .bytes_max = ERROR_FIELDS_BYTES_MAX, .depth_max = RESULT_DEPTH_MAX,
                         .awaits = true};
    JsonStatus status = json_write_fields(ctx, &writer, error);
    JS_FreeValue(ctx, writer.offending);
    if (status == JSON_EXCEPTION)
        forget_exception(ctx);
    if (status == JSON_OK && text.length > 2) {
        buffer_text(out, ",\"fields\":");
        buffer_put(out, text.bytes, text.length);
    }
    buffer_free(&text);
}

static void write_error(JSContext *ctx, Buffer *out, JSValueConst thrown, bool is_brief)
{
    bool is_error = JS_IsError(thrown);
    char *name = is_error ? text_property(ctx, thrown, "name") : NULL;
    char *message = is_error ? text_property(ctx, thrown, "message") : NULL;
    if (message && name && !strcmp(name, "ReferenceError"))
        message = add_advice(ctx, message);
    if (message && !strcmp(message, "not a function"))
        message = add_callee(ctx, thrown, message);
    const char *limit = NULL;
    uint64_t max = 0, used = 0;
    if (JS_IsObject(thrown) && JS_IsObject(raised.error) &&
        JS_VALUE_GET_PTR(thrown) == JS_VALUE_GET_PTR(raised.error)) {
        limit = raised.limit;
        max = raised.max;
        used = raised.used;
    } else if (memory_refused && (JS_IsNull(thrown) || JS_IsUninitialized(thrown) ||
                                  (message && !strcmp(message, "out of memory")))) {
        limit = "memory_bytes"; /* null or nothing: the engine had no memory left for an Error */
        max = limits.memory_bytes;
        used = memory_refused;
    } else if (message && !strcmp(message, "Maximum call stack size exceeded")) {
        limit = "stack_bytes";
        max = used = JS_STACK_BYTES;
    }
    if (limit && !strcmp(limit, "memory_bytes")) {
        char text[MESSAGE_SHORT];
        snprintf(text, sizeof(text), "out of memory: a run may hold at most %llu bytes", (unsigned long long)max);
        heap_free(message);
        message = heap_copy_text(text, sizeof(text));
        is_error = true;
    }
    const char *shown_name = limit ? "LimitError" : name ? name : "Error";
    buffer_text(out, "{\"name\":");
    json_string(out, shown_name, strlen(shown_name));
    buffer_text(out, ",\"message\":");
    if (is_error)
        json_string(out, message ? message : "", message ? strlen(message) : 0);
    else
        write_thrown(ctx, out, thrown);
    if (limit)
        write_limit_fields(out, limit, max, used);
    write_position(ctx, out, thrown, !is_brief);
    if (is_error && !is_brief)
        write_fields(ctx, out, thrown);
    heap_free(name);
    heap_free(message);
}

void report_error(JSContext *ctx, Buffer *out, JSValueConst thrown, bool is_syntax)
{
    write_error(ctx, out, thrown, false);
    if (is_syntax)
        buffer_text(out, ",\"is_syntax\":true");
    buffer_text(out, "}");
}

uint32_t report_unhandled(JSContext *ctx, Buffer *out)
{
    uint32_t count = unhandled_count < REPORTS_MAX ? unhandled_count : REPORTS_MAX;
    buffer_text(out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buffer_text(out, ",");
        write_error(ctx, out, unhandled[i].reason, true);
        const char *method = bridge_method_of(unhandled[i].reason);
        if (method) {
            buffer_text(out, ",\"method\":");
            json_string(out, method, strlen(method));
        }
        buffer_text(out, "}");
    }
    buffer_text(out, "]");
    return count;
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

/* log(level, text): one record. A flood has to stop, so the line that passes the limit is cut there and throws. */
static JSValue write_log(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    Buffer record = {0};
    uint64_t left = limits.log_bytes > log_bytes ? limits.log_bytes - log_bytes : 0;
    int64_t units = 0;
    if (JS_GetLength(ctx, argv[1], &units) < 0)
        return JS_EXCEPTION;
    if (left || !units) {
        buffer_text(&record, "{\"level\":");
        json_js_string(ctx, &record, argv[0], 16);
        buffer_text(&record, ",\"text\":");
        json_js_string(ctx, &record, argv[1], left < UINT32_MAX ? (uint32_t)left : UINT32_MAX);
        buffer_text(&record, "}");
        bool is_written = outbox_put('L', &record);
        buffer_free(&record);
        if (!is_written)
            return JS_ThrowOutOfMemory(ctx);
    }
    log_bytes += (uint64_t)units + 1; /* an empty line counts too */
    if (log_bytes > limits.log_bytes)
        return report_throw_limit(ctx, "log_bytes", limits.log_bytes, log_bytes);
    return JS_UNDEFINED;
}

static JSValue set_limit_error(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    make_limit_error = JS_DupValue(ctx, argv[0]);
    return JS_UNDEFINED;
}

void report_init(JSContext *ctx)
{
    raised.error = JS_UNDEFINED;
    JS_SetHostPromiseRejectionTracker(JS_GetRuntime(ctx), track_rejection, NULL);
    JS_SetInterruptHandler(JS_GetRuntime(ctx), poll_interrupt, NULL);
}

void report_natives(JSContext *ctx, JSValueConst natives)
{
    JS_SetPropertyStr(ctx, natives, "log", JS_NewCFunction(ctx, write_log, "log", 2));
    JS_SetPropertyStr(ctx, natives, "setLimitError", JS_NewCFunction(ctx, set_limit_error, "setLimitError", 1));
}
