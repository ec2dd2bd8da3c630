/* Host calls: what the program asks of the host, and how the answers come back.

   The namespace object is JavaScript (prelude/namespace.js); everything that decides which bytes leave is here, out
   of reach of a program that has replaced JSON, Promise or the array methods. */
#include "guest.h"
#include "heap.h"

enum {
    METHOD_BYTES_MAX = 512, /* longer than any tool's identifier; a longer name is no tool */
    ERROR_CLASSES_MAX = 8,
};

typedef struct {
    uint32_t id;
    int line;
    int column;
    bool is_out; /* false: it was answered while nobody looked, and stays to be reported */
    char *method;
    JSValue promise;
    JSValue stack; /* where the call was made: the stack of the error it may end in */
} Call;

static Call *calls; /* in the order they were made */
static uint32_t call_count, call_capacity, unlooked_count;
static uint32_t calls_made;
static bool is_closed;

/* Which call a rejection came from: told by the identity of the error. */
static struct {
    JSValue reason;
    char *method;
} failures[REPORTS_MAX];
static uint32_t failure_count;

static struct {
    char name[64];
    JSValue prototype;
} error_classes[ERROR_CLASSES_MAX];
static uint32_t error_class_count;

static bool reserve_call(void)
{
    if (call_count < call_capacity)
        return true;
    uint32_t capacity = call_capacity ? call_capacity * 2 : 16;
    Call *grown = heap_resize(calls, capacity * sizeof(*calls));
    if (!grown)
        return false;
    calls = grown;
    call_capacity = capacity;
    return true;
}

static JSValue call_stack(JSContext *ctx, const Frame *frames, int count)
{
    Buffer text = {0};
    for (int i = 0; i < count; i++) {
        buffer_text(&text, "    at ");
        buffer_text(&text, frames[i].function);
        buffer_text(&text, " (" PROGRAM_NAME ":");
        buffer_number(&text, frames[i].line);
        buffer_text(&text, ":");
        buffer_number(&text, frames[i].column);
        buffer_text(&text, ")\n");
    }
    JSValue stack = JS_NewStringLen(ctx, (char *)text.bytes, text.length);
    buffer_free(&text);
    return stack;
}

static JSValue rejected_with_exception(JSContext *ctx)
{
    JSValue reason = JS_GetException(ctx);
    if (JS_IsUncatchableError(reason))
        return JS_Throw(ctx, reason);
    JSValue promise = engine_new_promise(ctx);
    if (!JS_IsException(promise))
        engine_settle_promise(ctx, promise, reason, true);
    JS_FreeValue(ctx, reason);
    return promise;
}

/* Arguments that cannot be sent reject the call, as arguments that the host refuses do. */
static JSValue refuse_arguments(JSContext *ctx, const char *method, JsonStatus status, JSValueConst offending,
                                size_t used)
{
    switch (status) {
    case JSON_EXCEPTION:
        break;
    case JSON_TOO_LARGE:
        report_throw_limit(ctx, "call_bytes", limits.call_bytes, used);
        break;
    case JSON_TOO_DEEP:
        report_throw_limit(ctx, "call_depth", limits.call_depth, limits.call_depth + 1);
        break;
    case JSON_PROMISE_FOUND: {
        const char *name = JS_IsString(offending) ? JS_ToCString(ctx, offending) : NULL;
        JS_ThrowTypeError(ctx, "%s: %s%.100s%s is a Promise: await it before passing it", method,
                          name ? "argument \"" : "an argument", name ? name : "", name ? "\"" : "");
        JS_FreeCString(ctx, name);
        break;
    }
    default:
        JS_ThrowOutOfMemory(ctx);
    }
    return rejected_with_exception(ctx);
}

/* Without the undefined ones at the end, as if they had not been written. */
static int64_t argument_count(JSContext *ctx, JSValueConst array)
{
    int64_t count;
    if (JS_GetLength(ctx, array, &count) < 0)
        return 0;
    while (count > 0) {
        JSValue last = JS_GetPropertyInt64(ctx, array, count - 1);
        bool is_undefined = JS_IsUndefined(last);
        JS_FreeValue(ctx, last);
        if (!is_undefined)
            break;
        count--;
    }
    return count;
}

/* call(method, arguments) -> promise */
static JSValue bridge_call(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    if (is_closed)
        return JS_ThrowTypeError(ctx, "the run has ended: no more calls");
    /* Thrown, not rejected: a loop that never awaits its calls has to stop. */
    if (calls_made >= limits.calls)
        return report_throw_limit(ctx, "calls", limits.calls, calls_made + 1);
    size_t method_length;
    const char *method = JS_ToCStringLen(ctx, &method_length, argv[0]);
    if (!method)
        return JS_EXCEPTION;
    if (method_length > METHOD_BYTES_MAX) {
        JS_FreeCString(ctx, method);
        return JS_ThrowTypeError(ctx, "a method's name is at most %d bytes", METHOD_BYTES_MAX);
    }

    Buffer arguments = {0};
    JsonWriter writer = {.out = &arguments, .bytes_max = limits.call_bytes, .depth_max = limits.call_depth + 1};
    JS_SetLength(ctx, argv[1], argument_count(ctx, argv[1])); /* our own rest array, not the program's */
    JsonStatus status = json_write(ctx, &writer, argv[1]); /* may run getters, which may call: no state is held here */
    if (status != JSON_OK) {
        JSValue refused = refuse_arguments(ctx, method, status, writer.offending, writer.bytes);
        JS_FreeValue(ctx, writer.offending);
        JS_FreeCString(ctx, method);
        buffer_free(&arguments);
        return refused;
    }

    Frame frames[FRAMES_MAX];
    int frame_count = engine_frames(ctx, frames, FRAMES_MAX);
    Call call = {
        .id = calls_made + 1,
        .is_out = true,
        .line = frame_count ? frames[0].line : 0,
        .column = frame_count ? source_column(frames[0].line, frames[0].column) : 0,
        .method = heap_copy_text(method, METHOD_BYTES_MAX),
        .promise = engine_new_promise(ctx),
        .stack = call_stack(ctx, frames, frame_count),
    };
    Buffer record = {0};
    buffer_text(&record, "{\"id\":");
    buffer_number(&record, call.id);
    buffer_text(&record, ",\"method\":");
    json_string(&record, method, method_length);
    buffer_text(&record, ",\"args\":");
    buffer_put(&record, arguments.bytes, arguments.length);
    if (frame_count) {
        buffer_text(&record, ",\"line\":");
        buffer_number(&record, call.line);
        buffer_text(&record, ",\"column\":");
        buffer_number(&record, call.column);
    }
    buffer_text(&record, "}");
    JS_FreeCString(ctx, method);
    bool is_sent = call.method && !JS_IsException(call.promise) && !JS_IsException(call.stack) && reserve_call() &&
                   outbox_put('C', &record);
    buffer_free(&arguments);
    buffer_free(&record);
    if (!is_sent) {
        heap_free(call.method);
        JS_FreeValue(ctx, call.promise);
        JS_FreeValue(ctx, call.stack);
        return JS_ThrowOutOfMemory(ctx);
    }
    calls[call_count++] = call;
    calls_made++;
    control.calls_outstanding++;
    return JS_DupValue(ctx, call.promise);
}

/* ---- settlements ------------------------------------------------------------------------------------------------- */

/* An own property, so that Object.prototype cannot add fields to a settlement. */
static JSValue own(JSContext *ctx, JSValueConst object, const char *name)
{
    JSAtom atom = JS_NewAtom(ctx, name);
    JSPropertyDescriptor field;
    JSValue value = JS_UNDEFINED;
    if (JS_IsObject(object) && JS_GetOwnProperty(ctx, &field, object, atom) > 0) {
        value = field.value;
        JS_FreeValue(ctx, field.getter);
        JS_FreeValue(ctx, field.setter);
    }
    JS_FreeAtom(ctx, atom);
    return value;
}

static JSValueConst error_prototype(const char *name)
{
    uint32_t found = 0; /* the first class is Error itself */
    for (uint32_t i = 0; name && i < error_class_count; i++) {
        if (!strcmp(error_classes[i].name, name))
            found = i;
    }
    return error_classes[found].prototype;
}

/* {name, message, ...fields} as an instance of the class called `name`. */
static JSValue make_error(JSContext *ctx, JSValueConst description, JSValue stack)
{
    JSValue name = own(ctx, description, "name");
    const char *text = JS_IsString(name) ? JS_ToCString(ctx, name) : NULL;
    JSValue error = engine_new_error(ctx, error_prototype(text), stack);
    JSPropertyEnum *fields;
    uint32_t count;
    if (!JS_IsException(error) && JS_IsObject(description) &&
        JS_GetOwnPropertyNames(ctx, &fields, &count, description, JS_GPN_STRING_MASK) == 0) {
        JSAtom atom_name = JS_NewAtom(ctx, "name"), atom_message = JS_NewAtom(ctx, "message");
        for (uint32_t i = 0; i < count; i++) {
            bool is_hidden = fields[i].atom == atom_name || fields[i].atom == atom_message;
            JS_DefinePropertyValue(ctx, error, fields[i].atom, JS_GetProperty(ctx, description, fields[i].atom),
                                   is_hidden ? JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE : JS_PROP_C_W_E);
        }
        JS_FreeAtom(ctx, atom_name);
        JS_FreeAtom(ctx, atom_message);
        JS_FreePropertyEnum(ctx, fields, count);
    }
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, name);
    return error;
}

/* A call is answered: it goes, unless nobody waits for it, which is reported at the end. */
static void retire(JSContext *ctx, Call *call)
{
    control.calls_outstanding--;
    call->is_out = false;
    if (!engine_promise_is_handled(call->promise) && unlooked_count < REPORTS_MAX) {
        unlooked_count++;
        return;
    }
    JS_FreeValue(ctx, call->promise);
    heap_free(call->method);
    memmove(call, call + 1, (uint8_t *)(calls + --call_count) - (uint8_t *)call);
}

static bool settle_one(JSContext *ctx, JSValueConst settlement)
{
    JSValue id_value = own(ctx, settlement, "id"), ok = own(ctx, settlement, "ok");
    int64_t id = JS_IsNumber(id_value) && JS_ToInt64(ctx, &id, id_value) == 0 ? id : -1;
    bool is_ok = JS_IsBool(ok) && JS_VALUE_GET_BOOL(ok);
    JS_FreeValue(ctx, id_value);
    JS_FreeValue(ctx, ok);
    for (Call *call = calls; call < calls + call_count; call++) {
        if (call->id != id || !call->is_out)
            continue;
        JSValue value = own(ctx, settlement, is_ok ? "value" : "error");
        if (is_ok) {
            JS_FreeValue(ctx, call->stack);
        } else {
            JSValue error = make_error(ctx, value, call->stack);
            JS_FreeValue(ctx, value);
            value = error;
            if (!JS_IsException(value) && failure_count < REPORTS_MAX) {
                failures[failure_count].reason = JS_DupValue(ctx, value);
                failures[failure_count++].method = heap_copy_text(call->method, METHOD_BYTES_MAX);
            }
        }
        call->stack = JS_UNDEFINED;
        JSValue promise = JS_DupValue(ctx, call->promise);
        retire(ctx, call);
        if (JS_IsException(value)) {
            JS_FreeValue(ctx, promise);
            return false;
        }
        engine_settle_promise(ctx, promise, value, !is_ok);
        JS_FreeValue(ctx, promise);
        JS_FreeValue(ctx, value);
        return true;
    }
    return true; /* an id that is not out: settled before, or never ours; nothing to do */
}

bool bridge_settle(JSContext *ctx, const char *json, size_t length)
{
    JSValue list = json_parse(ctx, json, length);
    int64_t count;
    bool is_good = JS_IsArray(list) && JS_GetLength(ctx, list, &count) == 0;
    for (int64_t i = 0; is_good && i < count; i++) {
        JSValue settlement = JS_GetPropertyInt64(ctx, list, i);
        is_good = settle_one(ctx, settlement);
        JS_FreeValue(ctx, settlement);
    }
    JS_FreeValue(ctx, list);
    return is_good;
}

/* ---- at the end -------------------------------------------------------------------------------------------------- */

uint32_t bridge_unawaited(Buffer *out)
{
    uint32_t count = 0;
    buffer_text(out, "[");
    for (uint32_t i = 0; i < call_count; i++) {
        if (engine_promise_is_handled(calls[i].promise))
            continue;
        buffer_text(out, count++ ? ",{\"method\":" : "{\"method\":");
        json_string(out, calls[i].method, strlen(calls[i].method));
        buffer_text(out, ",\"line\":");
        buffer_number(out, calls[i].line);
        buffer_text(out, ",\"column\":");
        buffer_number(out, calls[i].column);
        buffer_text(out, "}");
    }
    buffer_text(out, "]");
    return count;
}

const char *bridge_method_of(JSValueConst reason)
{
    for (uint32_t i = 0; JS_IsObject(reason) && i < failure_count; i++) {
        if (JS_VALUE_GET_PTR(failures[i].reason) == JS_VALUE_GET_PTR(reason))
            return failures[i].method;
    }
    return NULL;
}

void bridge_close(bool close)
{
    is_closed = close;
}

/* addErrorClass(name, prototype) */
static JSValue add_error_class(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    const char *name = JS_ToCString(ctx, argv[0]);
    if (!name)
        return JS_EXCEPTION;
    if (error_class_count < ERROR_CLASSES_MAX) {
        snprintf(error_classes[error_class_count].name, sizeof(error_classes->name), "%s", name);
        error_classes[error_class_count++].prototype = JS_DupValue(ctx, argv[1]);
    }
    JS_FreeCString(ctx, name);
    return JS_UNDEFINED;
}

void bridge_natives(JSContext *ctx, JSValueConst natives)
{
    JS_SetPropertyStr(ctx, natives, "call", JS_NewCFunction(ctx, bridge_call, "call", 2));
    JS_SetPropertyStr(ctx, natives, "addErrorClass", JS_NewCFunction(ctx, add_error_class, "addErrorClass", 2));
}
