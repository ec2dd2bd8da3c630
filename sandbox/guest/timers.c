/* setTimeout and setInterval. The isolate cannot wait: it tells the host when the next timer is due and is woken
   by a turn without settlements. */
#include "guest.h"
#include "heap.h"

typedef struct {
    int32_t id;
    uint64_t order; /* timers due at one moment run in the order they were set */
    int64_t due_us;
    int64_t interval_us; /* 0: once */
    JSValue callback;
    JSValue arguments; /* array */
} Timer;

static Timer *timers;
static uint32_t timer_count, timer_capacity;
static int32_t last_id;
static uint64_t last_order;
static int64_t started_us;

enum {
    /* The clock stands still during a turn: without a least delay, a loop of setTimeout(f, 0) that polls for the answer
       of a host call would never give the host its turn. Browsers and Node have the same least delay. */
    DELAY_MIN_US = 1000,
};
static const double DELAY_MAX_MS = 2147483647; /* as everywhere: 2^31 - 1, longer ones fire at once */

/* set(callback, delay, repeats, arguments) -> id */
static JSValue timer_set(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    double delay_ms;
    if (!JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "the callback is not a function");
    if (JS_ToFloat64(ctx, &delay_ms, argv[1]))
        return JS_EXCEPTION;
    if (timer_count >= TIMERS_MAX)
        return report_throw_limit(ctx, "timers", TIMERS_MAX, timer_count + 1);
    if (timer_count == timer_capacity) {
        uint32_t capacity = timer_capacity ? timer_capacity * 2 : 16;
        Timer *grown = heap_resize(timers, capacity * sizeof(*timers));
        if (!grown)
            return JS_ThrowOutOfMemory(ctx);
        timers = grown;
        timer_capacity = capacity;
    }
    int64_t delay_us = delay_ms > 0 && delay_ms <= DELAY_MAX_MS ? (int64_t)(delay_ms * 1000) : 0;
    if (delay_us < DELAY_MIN_US)
        delay_us = DELAY_MIN_US;
    timers[timer_count++] = (Timer){
        .id = ++last_id,
        .order = ++last_order,
        .due_us = control.clock_us + delay_us,
        .interval_us = JS_ToBool(ctx, argv[2]) ? delay_us : 0,
        .callback = JS_DupValue(ctx, argv[0]),
        .arguments = JS_DupValue(ctx, argv[3]),
    };
    return JS_NewInt32(ctx, last_id);
}

static void timer_remove(JSContext *ctx, uint32_t index)
{
    Timer timer = timers[index];
    timers[index] = timers[--timer_count];
    JS_FreeValue(ctx, timer.callback);
    JS_FreeValue(ctx, timer.arguments);
}

static JSValue timer_clear(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    int32_t id;
    if (!JS_IsNumber(argv[0])) /* clearTimeout(undefined) is common, and nothing */
        return JS_UNDEFINED;
    if (JS_ToInt32(ctx, &id, argv[0]))
        return JS_EXCEPTION;
    for (uint32_t i = 0; i < timer_count; i++) {
        if (timers[i].id == id) {
            timer_remove(ctx, i);
            break;
        }
    }
    return JS_UNDEFINED;
}

static Timer *timer_first(void)
{
    Timer *first = NULL;
    for (Timer *t = timers; t < timers + timer_count; t++) {
        if (!first || t->due_us < first->due_us || (t->due_us == first->due_us && t->order < first->order))
            first = t;
    }
    return first;
}

int64_t timers_next_us(void)
{
    Timer *first = timer_first();
    return first ? first->due_us : -1;
}

uint32_t timers_pending(void)
{
    return timer_count;
}

bool timers_run_one(JSContext *ctx)
{
    Timer *timer = timer_first();
    if (!timer || timer->due_us > control.clock_us)
        return false;
    JSValue callback = JS_DupValue(ctx, timer->callback), arguments = JS_DupValue(ctx, timer->arguments);
    if (timer->interval_us) {
        timer->due_us = control.clock_us + timer->interval_us;
        timer->order = ++last_order;
    } else {
        timer_remove(ctx, timer - timers);
    }
    int64_t count;
    JSValueConst argv[8];
    JSValue held[8];
    int argc = JS_GetLength(ctx, arguments, &count) < 0 ? 0 : count < 8 ? (int)count : 8;
    for (int i = 0; i < argc; i++)
        argv[i] = held[i] = JS_GetPropertyUint32(ctx, arguments, i);
    JSValue result = JS_Call(ctx, callback, JS_UNDEFINED, argc, argv);
    if (JS_IsException(result))
        report_uncaught(ctx);
    for (int i = 0; i < argc; i++)
        JS_FreeValue(ctx, held[i]);
    JS_FreeValue(ctx, result);
    JS_FreeValue(ctx, callback);
    JS_FreeValue(ctx, arguments);
    return true;
}

void timers_start(void)
{
    started_us = control.clock_us;
}

/* now() -> milliseconds since the run began; stands still while the program runs */
static JSValue clock_now(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    return JS_NewFloat64(ctx, (double)(control.clock_us - started_us) / 1000);
}

/* timeOrigin() -> when the run began, in milliseconds since 1970 */
static JSValue clock_origin(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    return JS_NewFloat64(ctx, (double)started_us / 1000);
}

void timer_natives(JSContext *ctx, JSValueConst natives)
{
    JS_SetPropertyStr(ctx, natives, "setTimer", JS_NewCFunction(ctx, timer_set, "setTimer", 4));
    JS_SetPropertyStr(ctx, natives, "clearTimer", JS_NewCFunction(ctx, timer_clear, "clearTimer", 1));
    JS_SetPropertyStr(ctx, natives, "now", JS_NewCFunction(ctx, clock_now, "now", 0));
    JS_SetPropertyStr(ctx, natives, "timeOrigin", JS_NewCFunction(ctx, clock_origin, "timeOrigin", 0));
}
