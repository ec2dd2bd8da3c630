/* JSON to JavaScript values, for the host's answers.

   The engine's own parser makes a token, a string and an atom of each name, defines each property as a program's code
   would, and was most of what a large answer cost. This one reads the bytes where they lie. What it does not know how to
   read (nesting past any reader's, a lone surrogate, a mistake) it leaves to that one, from the start, so that there is
   one grammar and one set of errors. */
#include "dtoa.h"
#include "guest.h"

enum { DEPTH_MAX = 200, INT_DIGITS_MAX = 9, NAMES = 32 };

typedef struct {
    const char *text; /* where it stood last in the JSON */
    size_t length;
    JSAtom atom; /* owned */
} Name;

typedef struct {
    JSContext *ctx;
    const uint8_t *at, *end; /* *end is 0 */
    JSValue *items;          /* of the arrays that are open, the outermost first */
    uint32_t count, capacity;
    uint32_t depth;
    Buffer text;  /* a string without its escapes */
    Name names[NAMES];
    bool threw;   /* memory ran out */
} Reader;

static bool read_value(Reader *r, JSValue *value);

static void skip_space(Reader *r)
{
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')
        r->at++;
}

static bool take(Reader *r, char c)
{
    skip_space(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static bool check(Reader *r, JSValue value)
{
    r->threw |= JS_IsException(value);
    return !JS_IsException(value);
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits, or -1. */
static int32_t read_unit(Reader *r)
{
    int32_t unit = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        uint8_t c = *r->at, lower = c | 0x20;
        if (c >= '0' && c <= '9')
            unit = unit << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            unit = unit << 4 | (lower - 'a' + 10);
        else
            return -1;
    }
    return unit;
}

static void put_utf8(Buffer *text, uint32_t c)
{
    uint8_t bytes[4];
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6)
        bytes[i] = 0x80 | (c & 0x3f);
    bytes[0] = n == 1 ? c : (0xf00 >> n & 0xff) | c;
    buffer_put(text, bytes, n);
}

/* What follows a backslash. */
static bool read_escape(Reader *r)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint8_t c = *r->at++;
    if (c == 'u') {
        int32_t unit = read_unit(r);
        if (unit >= 0xd800 && unit < 0xdc00 && r->at[0] == '\\' && r->at[1] == 'u') {
            r->at += 2;
            int32_t low = read_unit(r);
            if (low < 0xdc00 || low >= 0xe000)
                return false;
            put_utf8(&r->text, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            return true;
        }
        if (unit < 0 || (unit >= 0xd800 && unit < 0xe000))
            return false;
        put_utf8(&r->text, unit);
        return true;
    }
    const char *found = c ? strchr(names, c) : NULL;
    if (!found)
        return false;
    buffer_put(&r->text, &meant[found - names], 1);
    return true;
}

/* The bytes between quotes, without escapes, at `*text` until the next string is read. */
static bool read_text(Reader *r, const char **text, size_t *length, bool *is_ascii)
{
    const uint8_t *start = r->at;
    uint64_t seen = 0, eight;
    for (; r->end - r->at >= 8; r->at += 8) {
        memcpy(&eight, r->at, 8);
        if (text_special(eight))
            break;
        seen |= eight;
    }
    while (*r->at >= 0x20 && *r->at != '"' && *r->at != '\\')
        seen |= *r->at++;
    if (*r->at == '"') {
        *text = (const char *)start;
        *length = r->at++ - start;
        *is_ascii = !(seen & 0x8080808080808080);
        return true;
    }
    r->text.length = 0;
    for (;;) {
        buffer_put(&r->text, start, r->at - start);
        if (*r->at == '"')
            break;
        if (*r->at++ != '\\' || !read_escape(r))
            return false;
        for (start = r->at; *r->at >= 0x20 && *r->at != '"' && *r->at != '\\';)
            r->at++;
    }
    r->at++;
    *text = (const char *)r->text.bytes;
    *length = r->text.length;
    *is_ascii = false;
    return !r->text.failed;
}

static bool read_string(Reader *r, JSValue *value)
{
    const char *text;
    size_t length;
    bool is_ascii;
    if (!read_text(r, &text, &length, &is_ascii))
        return false;
    *value = JS_NewStringLen(r->ctx, text, length);
    return check(r, *value);
}

/* The atom of a name in the JSON itself. Objects in a list have the same names: the last few are remembered, by length
   and ends, so that the engine need not hash each again. */
static JSAtom find_name(Reader *r, const char *text, size_t length)
{
    size_t place = length ? (length + 3 * (uint8_t)text[0] + 5 * (uint8_t)text[length - 1]) % NAMES : 0;
    Name *known = &r->names[place];
    if (known->atom != JS_ATOM_NULL && known->length == length && !memcmp(known->text, text, length))
        return JS_DupAtom(r->ctx, known->atom);
    JSAtom atom = JS_NewAtomLen(r->ctx, text, length);
    r->threw |= atom == JS_ATOM_NULL;
    JS_FreeAtom(r->ctx, known->atom);
    *known = (Name){text, length, atom == JS_ATOM_NULL ? atom : JS_DupAtom(r->ctx, atom)};
    return atom;
}

static JSAtom read_name(Reader *r)
{
    const char *text;
    size_t length;
    bool is_ascii;
    if (!take(r, '"') || !read_text(r, &text, &length, &is_ascii))
        return JS_ATOM_NULL;
    if (is_ascii) /* of other text, the engine compares UTF-8 with Latin-1 here */
        return find_name(r, text, length);
    JSValue string = JS_NewStringLen(r->ctx, text, length);
    JSAtom atom = check(r, string) ? JS_ValueToAtom(r->ctx, string) : JS_ATOM_NULL;
    r->threw |= atom == JS_ATOM_NULL;
    JS_FreeValue(r->ctx, string);
    return atom;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static int skip_digits(Reader *r)
{
    const uint8_t *start = r->at;
    while (*r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at - start;
}

static bool read_number(Reader *r, JSValue *value)
{
    const uint8_t *start = r->at;
    bool is_negative = *start == '-';
    r->at += is_negative;
    const uint8_t *first = r->at;
    int digits = skip_digits(r);
    if (!digits || (*first == '0' && digits > 1))
        return false;
    if (*r->at != '.' && (*r->at | 0x20) != 'e' && digits <= INT_DIGITS_MAX && !(is_negative && *first == '0')) {
        int32_t number = 0;
        for (int i = 0; i < digits; i++)
            number = number * 10 + (first[i] - '0');
        *value = JS_NewInt32(r->ctx, is_negative ? -number : number);
        return true;
    }
    if (*r->at == '.') {
        r->at++;
        if (!skip_digits(r))
            return false;
    }
    if ((*r->at | 0x20) == 'e') {
        r->at++;
        if (*r->at == '+' || *r->at == '-')
            r->at++;
        if (!skip_digits(r))
            return false;
    }
    JSATODTempMem scratch;
    const char *next;
    double number = js_atod((const char *)start, &next, 10, 0, &scratch);
    *value = JS_NewFloat64(r->ctx, number);
    return next == (const char *)r->at;
}

/* ---- arrays and objects ------------------------------------------------------------------------------------------ */

static bool push(Reader *r, JSValue value)
{
    if (r->count == r->capacity) {
        uint32_t capacity = r->capacity ? r->capacity * 2 : 64;
        JSValue *grown = js_realloc(r->ctx, r->items, capacity * sizeof(*grown));
        if (!grown) {
            r->threw = true;
            JS_FreeValue(r->ctx, value);
            return false;
        }
        r->items = grown;
        r->capacity = capacity;
    }
    r->items[r->count++] = value;
    return true;
}

static bool read_array(Reader *r, JSValue *array)
{
    uint32_t first = r->count;
    if (!take(r, ']')) {
        do {
            JSValue item;
            if (!read_value(r, &item) || !push(r, item))
                return false;
        } while (take(r, ','));
        if (!take(r, ']'))
            return false;
    }
    uint32_t count = r->count - first;
    r->count = first; /* taken over, also when it fails */
    *array = JS_NewArrayFrom(r->ctx, count, r->items + first);
    return check(r, *array);
}

static bool read_members(Reader *r, JSValueConst object)
{
    if (take(r, '}'))
        return true;
    do {
        JSValue value;
        JSAtom name = read_name(r);
        if (name == JS_ATOM_NULL)
            return false;
        bool is_read = take(r, ':') && read_value(r, &value);
        if (is_read && !engine_set_member(r->ctx, object, name, value)) {
            r->threw = true;
            is_read = false;
        }
        JS_FreeAtom(r->ctx, name);
        if (!is_read)
            return false;
    } while (take(r, ','));
    return take(r, '}');
}

static bool read_object(Reader *r, JSValue *object)
{
    *object = JS_NewObject(r->ctx);
    if (!check(r, *object))
        return false;
    if (read_members(r, *object))
        return true;
    JS_FreeValue(r->ctx, *object);
    return false;
}

static bool read_word(Reader *r, const char *word, JSValue meant, JSValue *value)
{
    size_t length = strlen(word);
    if (strncmp((const char *)r->at, word, length))
        return false;
    r->at += length;
    *value = meant;
    return true;
}

static bool read_value(Reader *r, JSValue *value)
{
    skip_space(r);
    switch (*r->at) {
    case '"':
        r->at++;
        return read_string(r, value);
    case '{':
    case '[':
        if (r->depth >= DEPTH_MAX)
            return false;
        r->depth++;
        bool is_read = *r->at++ == '{' ? read_object(r, value) : read_array(r, value);
        r->depth--;
        return is_read;
    case 't':
        return read_word(r, "true", JS_TRUE, value);
    case 'f':
        return read_word(r, "false", JS_FALSE, value);
    case 'n':
        return read_word(r, "null", JS_NULL, value);
    default:
        return read_number(r, value);
    }
}

JSValue json_parse(JSContext *ctx, const char *json, size_t length)
{
    Reader r = {.ctx = ctx, .at = (const uint8_t *)json, .end = (const uint8_t *)json + length};
    JSValue value = JS_UNDEFINED;
    bool is_read = read_value(&r, &value);
    if (is_read) {
        skip_space(&r);
        if (r.at != r.end) {
            JS_FreeValue(ctx, value);
            is_read = false;
        }
    }
    while (r.count)
        JS_FreeValue(ctx, r.items[--r.count]);
    for (int i = 0; i < NAMES; i++)
        JS_FreeAtom(ctx, r.names[i].atom);
    js_free(ctx, r.items);
    buffer_free(&r.text);
    if (is_read)
        return value;
    return r.threw ? JS_EXCEPTION : JS_ParseJSON(ctx, json, length, "answers");
}
