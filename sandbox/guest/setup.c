/* The setup: what the host tells an isolate before its program runs.

   A line of JSON, and after it what few programs ask for: another line of JSON, the hints, and the names of the
   namespace's methods, a line each. Parsing the hints took half of the time of taking in a setup, and 3,000 names nearly
   doubled the processor time of a short run. So they stay the bytes that they came as, outside the JavaScript heap,
   until the program's error or the prelude asks. */
#include "guest.h"
#include "heap.h"

Limits limits;
char namespace_name[64];

static const char *hints = "{}"; /* a zero byte follows them, as the parser wants it */
static size_t hints_length = 2;
static const char *method_names = "";
static size_t method_names_length;

static uint32_t limit_of(JSContext *ctx, JSValueConst table, const char *name)
{
    double value = 0;
    JSValue field = JS_GetPropertyStr(ctx, table, name);
    if (!JS_IsNumber(field) || JS_ToFloat64(ctx, &value, field) || !(value > 0))
        value = 0;
    JS_FreeValue(ctx, field);
    return value >= UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static bool read_limits(JSContext *ctx, JSValueConst setup)
{
    JSValue table = JS_GetPropertyStr(ctx, setup, "limits");
    limits = (Limits){
        .memory_bytes = limit_of(ctx, table, "memory_bytes"),
        .source_bytes = limit_of(ctx, table, "source_bytes"),
        .call_bytes = limit_of(ctx, table, "call_bytes"),
        .call_depth = limit_of(ctx, table, "call_depth"),
        .calls = limit_of(ctx, table, "calls"),
        .log_bytes = limit_of(ctx, table, "log_bytes"),
        .result_bytes = limit_of(ctx, table, "result_bytes"),
    };
    JS_FreeValue(ctx, table);
    if (limits.call_depth > RESULT_DEPTH_MAX - 1)
        limits.call_depth = RESULT_DEPTH_MAX - 1;
    return limits.memory_bytes && limits.source_bytes && limits.call_bytes && limits.call_depth && limits.log_bytes &&
           limits.result_bytes; /* no calls at all is a limit that makes sense */
}

static bool read_namespace(JSContext *ctx, JSValueConst setup)
{
    JSValue name = JS_GetPropertyStr(ctx, setup, "namespace");
    const char *text = JS_IsString(name) ? JS_ToCString(ctx, name) : NULL;
    if (text)
        snprintf(namespace_name, sizeof(namespace_name), "%s", text);
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, name);
    return text != NULL;
}

/* Keeps the hints and the names: copies them unless they lie where they can stay; false when there is no memory. */
static bool keep_unread(char *bytes, size_t length, bool is_lasting)
{
    if (!is_lasting) {
        char *copy = heap_alloc(length + 1);
        if (!copy)
            return false;
        bytes = memcpy(copy, bytes, length);
    }
    char *end = memchr(bytes, '\n', length);
    hints = bytes;
    hints_length = end ? (size_t)(end - bytes) : length;
    bytes[hints_length] = 0;
    if (end) {
        method_names = end + 1;
        method_names_length = length - hints_length - 1;
    }
    return true;
}

JSValue setup_hints(JSContext *ctx)
{
    JSValue parsed = JS_ParseJSON(ctx, hints, hints_length, "hints");
    if (JS_IsException(parsed))
        JS_FreeValue(ctx, JS_GetException(ctx));
    return parsed;
}

JSValue setup_read(JSContext *ctx, char *bytes, size_t length, bool is_lasting)
{
    char *end = memchr(bytes, '\n', length); /* the JSON holds none: in its strings it is escaped */
    size_t json_length = end ? (size_t)(end - bytes) : length;
    if (end && !keep_unread(end + 1, length - json_length - 1, is_lasting))
        return JS_ThrowOutOfMemory(ctx);
    bytes[json_length] = 0; /* as the parser wants it */
    JSValue setup = JS_ParseJSON(ctx, bytes, json_length, "setup");
    if (!JS_IsObject(setup) || !read_limits(ctx, setup) || !read_namespace(ctx, setup)) {
        JS_FreeValue(ctx, setup);
        return JS_EXCEPTION;
    }
    return setup;
}

/* methodNames(): the names of the namespace's methods as one string, a line each; to be asked once */
static JSValue get_method_names(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    return JS_NewStringLen(ctx, method_names, method_names_length);
}

void setup_natives(JSContext *ctx, JSValueConst natives)
{
    JS_SetPropertyStr(ctx, natives, "methodNames", JS_NewCFunction(ctx, get_method_names, "methodNames", 0));
}
