/* JavaScript values as JSON, for everything that leaves the isolate.

   Not JSON.stringify: that one asks `toJSON` of every prototype up to Object.prototype, which the program may have
   changed between a tool's arguments being written and being sent, and it knows neither limits nor promises. This
   writer looks at own enumerable properties, honours `toJSON` of the program's own classes only, and visits every
   property once. What differs from JSON.stringify: a BigInt is its decimal string, a Map an object (or pairs when a
   key is not a string), a Set an array, an Error {name, message, own fields}, bytes an array of numbers, a cycle the
   string "[Circular]", a lone surrogate U+FFFD (JSON could escape it, but no UTF-8 reader could keep it). */
#include "dtoa.h"
#include "guest.h"

static JSValue object_prototype, array_prototype;
static JSAtom atom_to_json, atom_name, atom_message;

void json_init(JSContext *ctx)
{
    JSValue object = JS_NewObject(ctx), array = JS_NewArray(ctx);
    object_prototype = JS_GetPrototype(ctx, object);
    array_prototype = JS_GetPrototype(ctx, array);
    JS_FreeValue(ctx, object);
    JS_FreeValue(ctx, array);
    atom_to_json = JS_NewAtom(ctx, "toJSON");
    atom_name = JS_NewAtom(ctx, "name");
    atom_message = JS_NewAtom(ctx, "message");
}

static JsonStatus write_value(JSContext *ctx, JsonWriter *w, JSValueConst value, JSValueConst key, bool asks_to_json);

static JsonStatus check_size(const JsonWriter *w)
{
    if (w->out->failed)
        return JSON_NO_MEMORY;
    return w->out->length > w->bytes_max ? JSON_TOO_LARGE : JSON_OK;
}

static void write_number(Buffer *out, double number)
{
    char text[64];
    JSDTOATempMem scratch;
    if (!(number - number == 0)) { /* NaN and the infinities */
        buffer_put(out, "null", 4);
        return;
    }
    buffer_put(out, text, js_dtoa(text, number, 10, 0, JS_DTOA_FORMAT_FREE, &scratch));
}

static bool is_absent(JSContext *ctx, JSValueConst value)
{
    return JS_IsUndefined(value) || JS_IsSymbol(value) || (JS_IsObject(value) && JS_IsFunction(ctx, value));
}

/* `toJSON` as the program's classes define it. Object.prototype and Array.prototype are not asked: a property planted
   there would rewrite the arguments of every call. -1: exception; 0: none; 1: *result holds what it returned. */
static int call_to_json(JSContext *ctx, JSValueConst object, JSValueConst key, JSValue *result)
{
    enum { PROTOTYPES_MAX = 64 }; /* a Proxy can pretend to an endless chain */
    JSValue holder = JS_DupValue(ctx, object);
    int found = 0;
    for (int i = 0; i < PROTOTYPES_MAX && !found && JS_IsObject(holder); i++) {
        if (JS_IsStrictEqual(ctx, holder, object_prototype) || JS_IsStrictEqual(ctx, holder, array_prototype))
            break;
        found = JS_GetOwnProperty(ctx, NULL, holder, atom_to_json);
        if (!found) {
            JSValue next = JS_GetPrototype(ctx, holder);
            JS_FreeValue(ctx, holder);
            holder = next;
            if (JS_IsException(holder))
                return -1;
        }
    }
    JS_FreeValue(ctx, holder);
    if (found <= 0)
        return found;
    JSValue method = JS_GetProperty(ctx, object, atom_to_json);
    if (JS_IsException(method))
        return -1;
    if (!JS_IsFunction(ctx, method)) {
        JS_FreeValue(ctx, method);
        return 0;
    }
    *result = JS_Call(ctx, method, object, 1, &key);
    JS_FreeValue(ctx, method);
    return JS_IsException(*result) ? -1 : 1;
}

static JsonStatus write_items(JSContext *ctx, JsonWriter *w, JSValueConst array)
{
    int64_t length;
    if (JS_GetLength(ctx, array, &length) < 0)
        return JSON_EXCEPTION;
    JsonStatus status = JSON_OK;
    buffer_byte(w->out, '[');
    for (int64_t i = 0; i < length && status == JSON_OK; i++) {
        if (i)
            buffer_byte(w->out, ',');
        JSValue item = JS_GetPropertyInt64(ctx, array, i);
        if (JS_IsException(item))
            return JSON_EXCEPTION;
        status = write_value(ctx, w, item, JS_UNDEFINED, true);
        if (status == JSON_ABSENT) {
            buffer_put(w->out, "null", 4);
            status = JSON_OK;
        }
        JS_FreeValue(ctx, item);
        if (status == JSON_OK)
            status = check_size(w);
    }
    buffer_byte(w->out, ']');
    return status;
}

static JsonStatus write_string(JSContext *ctx, JsonWriter *w, JSValueConst string)
{
    uint32_t units = engine_string_length(string);
    if ((uint64_t)units + w->out->length > w->bytes_max) { /* a unit is a byte at least: do not even try */
        w->bytes = w->out->length + units;
        return JSON_TOO_LARGE;
    }
    if (json_js_string(ctx, w->out, string, UINT32_MAX))
        return JSON_OK;
    return w->out->failed ? JSON_NO_MEMORY : JSON_EXCEPTION;
}

/* One `"key":value`; nothing at all when the value is absent. */
static JsonStatus write_member(JSContext *ctx, JsonWriter *w, JSValueConst key, JSValueConst value, bool *is_first)
{
    if (is_absent(ctx, value))
        return JSON_OK;
    size_t start = w->out->length;
    if (!*is_first)
        buffer_byte(w->out, ',');
    JsonStatus status = write_string(ctx, w, key);
    if (status != JSON_OK)
        return status;
    buffer_byte(w->out, ':');
    status = write_value(ctx, w, value, key, true);
    if (status == JSON_ABSENT) { /* toJSON returned undefined */
        w->out->length = start;
        return JSON_OK;
    }
    *is_first = false;
    return status == JSON_OK ? check_size(w) : status;
}

typedef enum { ALL_MEMBERS, NAME_AND_MESSAGE_FIRST, SKIP_NAME_AND_MESSAGE } Which;

static JsonStatus write_members(JSContext *ctx, JsonWriter *w, JSValueConst object, Which members)
{
    JSPropertyEnum *names;
    uint32_t count;
    bool is_first = true;
    JsonStatus status = JSON_OK;
    if (JS_GetOwnPropertyNames(ctx, &names, &count, object, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return JSON_EXCEPTION;
    buffer_byte(w->out, '{');
    for (int i = 0; members == NAME_AND_MESSAGE_FIRST && i < 2 && status == JSON_OK; i++) {
        JSAtom atom = i ? atom_message : atom_name;
        JSValue key = JS_AtomToString(ctx, atom), value = JS_GetProperty(ctx, object, atom);
        status = JS_IsException(key) || JS_IsException(value) ? JSON_EXCEPTION
                                                              : write_member(ctx, w, key, value, &is_first);
        JS_FreeValue(ctx, key);
        JS_FreeValue(ctx, value);
    }
    for (uint32_t i = 0; i < count && status == JSON_OK; i++) {
        if (members != ALL_MEMBERS && (names[i].atom == atom_name || names[i].atom == atom_message))
            continue;
        JSValue value = JS_GetProperty(ctx, object, names[i].atom), key = JS_AtomToString(ctx, names[i].atom);
        status = JS_IsException(key) || JS_IsException(value) ? JSON_EXCEPTION
                                                              : write_member(ctx, w, key, value, &is_first);
        JS_FreeValue(ctx, value);
        JS_FreeValue(ctx, key);
    }
    buffer_byte(w->out, '}');
    JS_FreePropertyEnum(ctx, names, count);
    return status;
}

/* The same for an object that is made of nothing but values, as most are. */
static JsonStatus write_plain_members(JSContext *ctx, JsonWriter *w, JSValueConst object, const Members *members)
{
    bool is_first = true;
    JsonStatus status = JSON_OK;
    buffer_byte(w->out, '{');
    for (uint32_t i = 0; i < members->count && status == JSON_OK; i++) {
        JSValueConst name;
        JSValue value;
        if (!engine_member(ctx, object, members, i, &name, &value))
            continue;
        status = JS_IsException(value) ? JSON_EXCEPTION : write_member(ctx, w, name, value, &is_first);
        JS_FreeValue(ctx, value);
    }
    buffer_byte(w->out, '}');
    return status;
}

static JsonStatus write_map(JSContext *ctx, JsonWriter *w, JSValueConst map)
{
    JSValue items = engine_collection_items(ctx, map);
    int64_t length;
    if (JS_IsException(items) || JS_GetLength(ctx, items, &length) < 0)
        return JSON_EXCEPTION;
    bool is_object = true;
    for (int64_t i = 0; i < length && is_object; i += 2) {
        JSValue key = JS_GetPropertyInt64(ctx, items, i);
        is_object = JS_IsString(key);
        JS_FreeValue(ctx, key);
    }
    JsonStatus status = JSON_OK;
    bool is_first = true;
    buffer_byte(w->out, is_object ? '{' : '[');
    for (int64_t i = 0; i < length && status == JSON_OK; i += 2) {
        JSValue key = JS_GetPropertyInt64(ctx, items, i), value = JS_GetPropertyInt64(ctx, items, i + 1);
        if (is_object) {
            status = write_member(ctx, w, key, value, &is_first);
        } else {
            buffer_text(w->out, i ? ",[" : "[");
            status = write_value(ctx, w, key, JS_UNDEFINED, true);
            if (status == JSON_ABSENT)
                buffer_put(w->out, "null", 4);
            buffer_byte(w->out, ',');
            if (status == JSON_OK || status == JSON_ABSENT)
                status = write_value(ctx, w, value, JS_UNDEFINED, true);
            if (status == JSON_ABSENT) {
                buffer_put(w->out, "null", 4);
                status = JSON_OK;
            }
            buffer_byte(w->out, ']');
            if (status == JSON_OK)
                status = check_size(w);
        }
        JS_FreeValue(ctx, key);
        JS_FreeValue(ctx, value);
    }
    buffer_byte(w->out, is_object ? '}' : ']');
    JS_FreeValue(ctx, items);
    return status;
}

static JsonStatus write_bytes(JSContext *ctx, JsonWriter *w, JSValueConst buffer)
{
    size_t length;
    const uint8_t *bytes = JS_GetArrayBuffer(ctx, &length, buffer);
    if (!bytes && length)
        return JSON_EXCEPTION;
    buffer_byte(w->out, '[');
    for (size_t i = 0; i < length && check_size(w) == JSON_OK; i++) {
        if (i)
            buffer_byte(w->out, ',');
        buffer_number(w->out, bytes[i]);
    }
    buffer_byte(w->out, ']');
    return check_size(w);
}

static JsonStatus write_date(JSContext *ctx, JsonWriter *w, double milliseconds)
{
    if (!(milliseconds - milliseconds == 0)) {
        buffer_put(w->out, "null", 4);
        return JSON_OK;
    }
    /* Days to civil date, after Howard Hinnant's chrono algorithms: Date.prototype.toISOString may be the program's. */
    int64_t ms = (int64_t)milliseconds, day = ms / 86400000, rest = ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        day--;
    }
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097, doe = day - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
    int64_t y = yoe + era * 400 + (m <= 2);
    char text[40];
    int n = snprintf(text, sizeof(text), y >= 0 && y <= 9999 ? "\"%04d" : y < 0 ? "\"-%06d" : "\"+%06d",
                     (int)(y < 0 ? -y : y));
    n += snprintf(text + n, sizeof(text) - n, "-%02d-%02dT%02d:%02d:%02d.%03dZ\"", (int)m, (int)d,
                  (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000));
    buffer_put(w->out, text, n);
    return JSON_OK;
}

static JsonStatus write_promise(JSContext *ctx, JsonWriter *w, JSValueConst promise, JSValueConst key)
{
    if (!w->awaits) {
        w->offending = JS_DupValue(ctx, key);
        return JSON_PROMISE_FOUND;
    }
    JSPromiseStateEnum state = JS_PromiseState(ctx, promise);
    JS_PromiseMarkAsHandled(ctx, promise);
    if (state == JS_PROMISE_PENDING)
        return JSON_PROMISE_PENDING;
    if (state == JS_PROMISE_REJECTED) {
        w->offending = JS_DupValue(ctx, promise);
        return JSON_PROMISE_REJECTED;
    }
    if (w->depth >= w->depth_max)
        return JSON_TOO_DEEP;
    w->ancestors[w->depth++] = JS_VALUE_GET_PTR(promise); /* toJSON may return promises without end */
    JSValue value = JS_PromiseResult(ctx, promise);
    JsonStatus status = write_value(ctx, w, value, key, true);
    JS_FreeValue(ctx, value);
    w->depth--;
    return status;
}

static JsonStatus write_entered(JSContext *ctx, JsonWriter *w, JSValueConst object, const Members *members)
{
    if (members->shape)
        return write_plain_members(ctx, w, object, members);
    if (JS_IsArray(object))
        return write_items(ctx, w, object);
    if (JS_IsMap(object))
        return write_map(ctx, w, object);
    if (JS_IsSet(object)) {
        JSValue items = engine_collection_items(ctx, object);
        JsonStatus status = JS_IsException(items) ? JSON_EXCEPTION : write_items(ctx, w, items);
        JS_FreeValue(ctx, items);
        return status;
    }
    if (JS_IsArrayBuffer(object))
        return write_bytes(ctx, w, object);
    if (JS_GetTypedArrayType(object) >= 0)
        return write_items(ctx, w, object);
    if (JS_IsProxy(object)) {
        JSValue target = JS_GetProxyTarget(ctx, object);
        bool is_array = JS_IsArray(target);
        JS_FreeValue(ctx, target);
        if (is_array)
            return write_items(ctx, w, object);
    }
    return write_members(ctx, w, object, JS_IsError(object) ? NAME_AND_MESSAGE_FIRST : ALL_MEMBERS);
}

/* Once a depth and a cycle are ruled out. */
static JsonStatus write_guarded(JSContext *ctx, JsonWriter *w, JSValueConst object, const Members *members)
{
    void *identity = JS_VALUE_GET_PTR(object);
    for (uint32_t i = 0; i < w->depth; i++) {
        if (w->ancestors[i] == identity) {
            buffer_text(w->out, "\"[Circular]\"");
            return JSON_OK;
        }
    }
    if (w->depth >= w->depth_max)
        return JSON_TOO_DEEP;
    w->ancestors[w->depth++] = identity;
    JsonStatus status = write_entered(ctx, w, object, members);
    w->depth--;
    return status;
}

/* Any other object: what it is decides. */
static JsonStatus write_other_object(JSContext *ctx, JsonWriter *w, JSValueConst object, JSValueConst key,
                                     bool asks_to_json)
{
    if (JS_IsPromise(object))
        return write_promise(ctx, w, object, key);
    JSValue inside = engine_primitive_inside(ctx, object);
    if (JS_IsDate(object)) {
        double milliseconds;
        JS_ToFloat64(ctx, &milliseconds, inside);
        return write_date(ctx, w, milliseconds);
    }
    if (!JS_IsUndefined(inside)) {
        JsonStatus status = write_value(ctx, w, inside, key, false);
        JS_FreeValue(ctx, inside);
        return status;
    }
    if (asks_to_json) {
        JSValue replacement;
        int called = call_to_json(ctx, object, key, &replacement);
        if (called < 0)
            return JSON_EXCEPTION;
        if (called) {
            JsonStatus status = write_value(ctx, w, replacement, key, false);
            JS_FreeValue(ctx, replacement);
            return status;
        }
    }
    return write_guarded(ctx, w, object, &(Members){0});
}

static JsonStatus write_object(JSContext *ctx, JsonWriter *w, JSValueConst object, JSValueConst key, bool asks_to_json)
{
    Members members = {0};
    bool is_plain = engine_members_begin(ctx, object, atom_to_json, &members);
    JsonStatus status = is_plain || engine_is_plain_array(ctx, object)
                            ? write_guarded(ctx, w, object, &members)
                            : write_other_object(ctx, w, object, key, asks_to_json);
    if (is_plain)
        engine_members_end(ctx, &members);
    return status;
}

static JsonStatus write_value(JSContext *ctx, JsonWriter *w, JSValueConst value, JSValueConst key, bool asks_to_json)
{
    if (JS_IsString(value))
        return write_string(ctx, w, value);
    if (JS_IsBool(value)) {
        bool is_true = JS_VALUE_GET_BOOL(value);
        buffer_put(w->out, is_true ? "true" : "false", is_true ? 4 : 5);
        return JSON_OK;
    }
    if (JS_IsNull(value)) {
        buffer_put(w->out, "null", 4);
        return JSON_OK;
    }
    if (JS_VALUE_GET_NORM_TAG(value) == JS_TAG_INT) {
        buffer_number(w->out, JS_VALUE_GET_INT(value));
        return JSON_OK;
    }
    if (JS_IsNumber(value)) {
        write_number(w->out, JS_VALUE_GET_FLOAT64(value));
        return JSON_OK;
    }
    if (JS_IsBigInt(value)) {
        size_t length;
        const char *digits = JS_ToCStringLen(ctx, &length, value);
        if (!digits)
            return JSON_EXCEPTION;
        json_string(w->out, digits, length);
        JS_FreeCString(ctx, digits);
        return check_size(w);
    }
    if (is_absent(ctx, value) || !JS_IsObject(value))
        return JSON_ABSENT;
    return write_object(ctx, w, value, key, asks_to_json);
}

JsonStatus json_write(JSContext *ctx, JsonWriter *writer, JSValueConst value)
{
    writer->offending = JS_UNDEFINED;
    writer->depth = 0;
    writer->bytes = 0;
    JsonStatus status = write_value(ctx, writer, value, JS_UNDEFINED, true);
    if (status == JSON_OK)
        status = check_size(writer);
    if (writer->bytes < writer->out->length)
        writer->bytes = writer->out->length;
    return status;
}

JsonStatus json_write_fields(JSContext *ctx, JsonWriter *writer, JSValueConst error)
{
    writer->offending = JS_UNDEFINED;
    writer->depth = 0;
    writer->ancestors[writer->depth++] = JS_VALUE_GET_PTR(error);
    return write_members(ctx, writer, error, SKIP_NAME_AND_MESSAGE);
}
