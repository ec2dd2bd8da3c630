/* What the parts of the guest share. See README.md for the ABI and shim.c for who owns what. */
#ifndef PORTICO_GUEST_H
#define PORTICO_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine.h"

/* ---- limits ------------------------------------------------------------------------------------------------------ */

enum {
    /* About 2,400 plain calls deep, or 700 through Array.prototype.map. It fits the host's 6 MiB of wasm stack in each
       recursion that was tried (functions, async functions, getters, proxies, callbacks of sort and replace). */
    JS_STACK_BYTES = 768 * 1024,
    /* Collecting cycles walks every live object; a typical run ends before it has made this much garbage. */
    GC_THRESHOLD_BYTES = 4 * 1024 * 1024,
    /* JSON readers refuse deep input (orjson at 1,024, CPython near 1,000), and orjson writes at most 254. */
    RESULT_DEPTH_MAX = 200,
    /* Enough to say what went wrong; the rest is counted. */
    REPORTS_MAX = 20,
    /* A program that keeps more timers is a leak; due timers are found by a linear scan. */
    TIMERS_MAX = 4096,
    /* Error texts are read by a model: more is noise. */
    MESSAGE_BYTES_MAX = 8 * 1024,
    /* For the error itself; without it a program that catches it catches null. */
    MEMORY_ERROR_BYTES = 16 * 1024,
    REPORT_RESERVE_BYTES = 1024 * 1024, /* many times what an error report needs */
    ERROR_FIELDS_BYTES_MAX = 64 * 1024,
};

typedef struct {
    uint32_t memory_bytes;
    uint32_t source_bytes;
    uint32_t call_bytes;
    uint32_t call_depth;
    uint32_t calls;
    uint32_t log_bytes;
    uint32_t result_bytes;
} Limits;
extern Limits limits;
extern uint32_t memory_refused; /* heap bytes when an allocation was last refused; 0: never */
extern uint32_t memory_reserve; /* heap bytes allowed beyond the limit, to report a run that has filled its heap */

/* ---- the control block: the host reads and writes it in linear memory (shim.c) ----------------------------------- */

typedef struct {
    uint32_t abi;              /* ABI_VERSION */
    volatile uint32_t interrupt; /* host sets 1, from any thread: the program stops at its next check */
    int64_t clock_us;          /* host, before each turn: microseconds since 1970; frozen during the turn */
    uint8_t seed[32];          /* host, before start */
    uint32_t inbox;            /* address and capacity of the inbox; moves in portico_reserve and portico_prepare */
    uint32_t inbox_capacity;
    uint32_t outbox;           /* address and length of this turn's records */
    uint32_t outbox_length;    /* covers whole records only, also after a trap */
    int64_t wake_at_us;        /* when the next timer is due, or -1 */
    uint32_t memory_used;      /* bytes on the JavaScript heap */
    uint32_t calls_outstanding;
} Control;
extern Control control;

/* ---- growing bytes, outside the JavaScript heap so that an exhausted heap can still be reported ------------------ */

typedef struct {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
    bool failed; /* memory ran out: what follows was dropped */
} Buffer;

bool buffer_reserve(Buffer *buffer, size_t more);
void buffer_put(Buffer *buffer, const void *bytes, size_t length);

/* Most of what a writer of JSON puts is one character. */
static inline void buffer_byte(Buffer *buffer, char byte)
{
    if (buffer->length < buffer->capacity)
        buffer->bytes[buffer->length++] = byte;
    else
        buffer_put(buffer, &byte, 1);
}

void buffer_text(Buffer *buffer, const char *text);
void buffer_number(Buffer *buffer, int64_t number);
void buffer_free(Buffer *buffer);

/* One record of the outbox; `kind` is 'C' host call, 'L' log line, 'E' end of the run. False when memory ran out. */
bool outbox_put(char kind, const Buffer *payload);
void outbox_clear(void);

/* ---- JSON (json.c, json_string.c, parse.c) ----------------------------------------------------------------------- */

typedef enum {
    JSON_OK,
    JSON_ABSENT,           /* undefined, function or symbol: nothing was written */
    JSON_EXCEPTION,        /* a getter, toJSON or trap threw; the exception is pending */
    JSON_TOO_LARGE,
    JSON_TOO_DEEP,
    JSON_NO_MEMORY,
    JSON_PROMISE_PENDING,  /* only with `awaits` */
    JSON_PROMISE_REJECTED, /* only with `awaits`; `offending` holds the promise */
    JSON_PROMISE_FOUND,    /* only without `awaits`; `offending` holds the property name */
} JsonStatus;

typedef struct {
    Buffer *out;
    size_t bytes_max;
    uint32_t depth_max;
    bool awaits;           /* write what a fulfilled promise holds, instead of refusing promises */
    JSValue offending;     /* the caller frees it */
    size_t bytes;          /* what was reached, also when it was too large to be written */
    uint32_t depth;
    void *ancestors[RESULT_DEPTH_MAX + 1];
} JsonWriter;

/* The bytes are followed by a zero. An exception when they are no JSON, or do not fit. */
JSValue json_parse(JSContext *ctx, const char *json, size_t length); /* parse.c */
void json_init(JSContext *ctx); /* captures intrinsics; before any guest code */
JsonStatus json_write(JSContext *ctx, JsonWriter *writer, JSValueConst value);
/* An error's own fields beside `name` and `message`, as an object. */
JsonStatus json_write_fields(JSContext *ctx, JsonWriter *writer, JSValueConst error);

void json_string(Buffer *out, const char *utf8, size_t length);
/* A JavaScript string as a JSON string, at most `units_max` code units of it; false when memory ran out. */
bool json_js_string(JSContext *ctx, Buffer *out, JSValueConst string, uint32_t units_max);

/* ---- random (random.c): ChaCha20 over the host's seed ------------------------------------------------------------ */

void random_seed(const uint8_t seed[32]);
void random_bytes(uint8_t *bytes, size_t length);
double random_unit(void); /* [0, 1) with 53 bits */

/* ---- natives for the prelude ------------------------------------------------------------------------------------- */

void text_natives(JSContext *ctx, JSValueConst natives);   /* text.c: UTF-8, UTF-16LE, Latin-1, base64 */
void bridge_natives(JSContext *ctx, JSValueConst natives); /* bridge.c: host calls */
void inspect_natives(JSContext *ctx, JSValueConst natives); /* inspect.c */
void timer_natives(JSContext *ctx, JSValueConst natives);  /* timers.c: timers and the clock */
void report_natives(JSContext *ctx, JSValueConst natives); /* report.c: logs, limit errors */
void setup_natives(JSContext *ctx, JSValueConst natives);  /* setup.c: the names of the methods */

/* ---- host calls (bridge.c) --------------------------------------------------------------------------------------- */

bool bridge_settle(JSContext *ctx, const char *json, size_t length); /* false: not a list of settlements */
/* Calls whose promise nobody ever looked at: writes [{"method","line"},...] and returns how many. */
uint32_t bridge_unawaited(Buffer *out);
/* The call that a rejection reason came from, or NULL. */
const char *bridge_method_of(JSValueConst reason);
void bridge_close(bool is_closed); /* the result is being written: calls throw */

/* ---- timers (timers.c) ------------------------------------------------------------------------------------------- */

void timers_start(void); /* the clock of performance.now() begins here */
int64_t timers_next_us(void); /* -1: none */
bool timers_run_one(JSContext *ctx); /* runs the first that is due; false when none is */
uint32_t timers_pending(void);

/* ---- errors and logs (report.c) ---------------------------------------------------------------------------------- */

void report_init(JSContext *ctx);
JSValue report_throw_limit(JSContext *ctx, const char *limit, uint64_t max, uint64_t used);
/* The pending exception of a job or timer that nothing will catch. */
void report_uncaught(JSContext *ctx);
void report_forget(JSContext *ctx, JSValueConst promise);
/* Writes {"name","message","line",...} for what the run died of; the value is borrowed. */
void report_error(JSContext *ctx, Buffer *out, JSValueConst thrown, bool is_syntax);
void report_limit(Buffer *out, const char *limit, uint64_t max, uint64_t used);
uint32_t report_unhandled(JSContext *ctx, Buffer *out); /* writes [{"message",...},...] */
bool report_is_interrupted(void);

/* ---- advice (advice.c) ------------------------------------------------------------------------------------------- */

/* What to use instead of a name that is not there; false when nothing is known. */
bool advice_for(JSContext *ctx, const char *name, size_t length, char *out, size_t size);

/* Eight characters of text at once: the high bit of each byte tells whether it is a control character, a quote or a
   backslash. A byte above one that is told may be told wrongly; none is missed. */
static inline uint64_t text_special(uint64_t eight)
{
    const uint64_t ones = 0x0101010101010101, high = ones << 7;
    uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\';
    return (((eight - ones * 0x20) & ~eight) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & high;
}

/* ---- the setup (setup.c) ----------------------------------------------------------------------------------------- */

extern char namespace_name[64];

/* The setup's {identifier: advice}, made anew at each call; an exception (which is not pending) without memory for it. */
JSValue setup_hints(JSContext *ctx);

/* Takes in `limits` and what stands above, and returns the JSON's object; an exception when it is not as agreed. What
   it needs of the bytes later it copies, unless they are `is_lasting`. May write to the byte behind them. */
JSValue setup_read(JSContext *ctx, char *bytes, size_t length, bool is_lasting);

/* ---- the program's source (source.c) ----------------------------------------------------------------------------- */

typedef enum { EXPRESSION, SCRIPT, BODY, MODULE } Form;

/* Keeps a copy of the source, for all that follows; false when there is no memory for it. */
bool source_keep(const char *given, size_t length);
/* Compiles it, without running any of it, in the form that fits. When none does, throws the error of the form that was
   meant, placed in the source. */
JSValue source_compile(JSContext *ctx, Form *form);
/* The function to call in a script that only declares functions and calls none: `main`, else `run`, else the last.
   Undefined when the source holds anything else, which may have called it already. The script has been run. */
JSValue source_uncalled_function(JSContext *ctx);
/* The module loader: there are no modules, and the error says what to do instead. */
JSModuleDef *source_refuse_import(JSContext *ctx, const char *specifier, void *opaque);
/* The column in characters of a column in bytes; both count from 1. */
int source_column(int line, int byte_column);
/* The dotted name around a place in the source, as `o.method`; its length, or 0. */
size_t source_callee(int line, int byte_column, const char **text);

/* ---- the program (program.c) ------------------------------------------------------------------------------------- */

/* Compiles the source and starts it; a syntax error is the run's end. */
void program_load(JSContext *ctx, const char *source, size_t length);
/* Moves the run on as far as it goes without the host; true when it is over. Its end record is written then, unless
   it was interrupted. */
bool program_advance(JSContext *ctx);
/* The host's answers do not fit: ends the run. */
void program_end_out_of_memory(JSContext *ctx);

#endif
