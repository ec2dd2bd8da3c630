/* What a value is, for the prelude: by the engine's own class and not by what `instanceof` or a tag would say. And how
   to add to an array, which no method of JavaScript does without asking the prototype. */
#include "guest.h"

/* classOf(value) -> one word; a Proxy is told before anything is read through it */
static JSValue class_of(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    JSValueConst value = argv[0];
    if (!JS_IsObject(value))
        return JS_NewString(ctx, "primitive");
    JSValue inside = engine_primitive_inside(ctx, value);
    bool is_boxed = !JS_IsUndefined(inside);
    JS_FreeValue(ctx, inside);
    return JS_NewString(ctx, JS_IsProxy(value)         ? "proxy"
                             : JS_IsError(value)       ? "error"
                             : JS_IsDate(value)        ? "date"
                             : is_boxed                ? "boxed"
                             : JS_IsRegExp(value)      ? "regexp"
                             : JS_IsPromise(value)     ? "promise"
                             : JS_IsMap(value)         ? "map"
                             : JS_IsSet(value)         ? "set"
                             : JS_IsArrayBuffer(value) ? "buffer"
                             : JS_IsWeakMap(value) || JS_IsWeakSet(value) || JS_IsWeakRef(value) ? "weak"
                                                                                                 : "object");
}

/* promiseState(promise) -> {state, result} */
static JSValue promise_state(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    JSPromiseStateEnum state = JS_PromiseState(ctx, argv[0]);
    JSValue result = JS_NewObject(ctx);
    const char *name = state == JS_PROMISE_FULFILLED  ? "fulfilled"
                       : state == JS_PROMISE_REJECTED ? "rejected"
                                                      : "pending";
    JS_DefinePropertyValueStr(ctx, result, "state", JS_NewString(ctx, name), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, result, "result", JS_PromiseResult(ctx, argv[0]), JS_PROP_C_W_E);
    return result;
}

/* push(array, value): as an own item, past any setter that a program has put on Array.prototype */
static JSValue push(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    int64_t length;
    if (JS_GetLength(ctx, argv[0], &length) < 0 ||
        JS_DefinePropertyValueUint32(ctx, argv[0], (uint32_t)length, JS_DupValue(ctx, argv[1]), JS_PROP_C_W_E) < 0)
        return JS_EXCEPTION;
    return JS_UNDEFINED;
}

void inspect_natives(JSContext *ctx, JSValueConst natives)
{
    JS_SetPropertyStr(ctx, natives, "classOf", JS_NewCFunction(ctx, class_of, "classOf", 1));
    JS_SetPropertyStr(ctx, natives, "promiseState", JS_NewCFunction(ctx, promise_state, "promiseState", 1));
    JS_SetPropertyStr(ctx, natives, "push", JS_NewCFunction(ctx, push, "push", 2));
}
