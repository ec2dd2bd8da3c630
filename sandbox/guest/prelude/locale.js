// What programs format for people without Intl: numbers and dates as en-US has them.
(natives) => {
  const {
    Date, MathMin, MathMax, numberToFixed, numberToString, stringEndsWith, stringPadStart, stringSlice,
    stringSplit, dateGetTime, numberValueOf, dateParts,
  } = natives.primordials;

  const group = (digits) => {
    let text = "";
    for (let end = digits.length; end > 0; end -= 3) {
      text = stringSlice(digits, MathMax(0, end - 3), end) + (text && `,${text}`);
    }
    return text;
  };

  const formatNumber = (value, options) => {
    if (value !== value) return "NaN";
    if (value === Infinity || value === -Infinity) return value > 0 ? "∞" : "-∞";
    const style = options?.style, isMoney = style === "currency";
    const digitsMin = options?.minimumFractionDigits ?? (isMoney ? 2 : 0);
    const digitsMax = MathMax(digitsMin, options?.maximumFractionDigits ?? (isMoney ? 2 : style === "percent" ? 0 : 3));
    const size = (value < 0 ? -value : value) * (style === "percent" ? 100 : 1);
    if (size >= 1e21) return numberToString(value);
    const parts = stringSplit(numberToFixed(size, MathMin(digitsMax, 100)), ".");
    let fraction = parts[1] ?? "";
    while (fraction.length > digitsMin && stringEndsWith(fraction, "0")) fraction = stringSlice(fraction, 0, -1);
    const whole = options?.useGrouping === false ? parts[0] : group(parts[0]);
    const sign = value < 0 ? "-" : "";
    const currency = !isMoney ? "" : options.currency === "USD" ? "$" : options.currency === "EUR" ? "€"
      : options.currency === "GBP" ? "£" : `${options.currency} `;
    return sign + currency + whole + (fraction && `.${fraction}`) + (style === "percent" ? "%" : "");
  };

  // Methods without a constructor, as the standard ones are.
  const methods = {
    toLocaleString(locale, options) { return formatNumber(numberValueOf(this), options); },
  };
  natives.define("toLocaleString", methods.toLocaleString, Number.prototype);

  const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
  const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December"];
  const two = (number) => stringPadStart(numberToString(number), 2, "0");

  // UTC is the isolate's time zone, and the only one.
  const formatDate = (date, options) => {
    const parts = dateParts(date), year = parts[0], month = parts[1], day = parts[2], weekday = parts[6];
    const wanted = options ?? {};
    const monthStyle = wanted.month, hasFields = wanted.weekday || wanted.year || monthStyle || wanted.day;
    const style = wanted.dateStyle;
    if (!hasFields && !style) return `${month + 1}/${day}/${year}`;
    if (style === "short") return `${month + 1}/${day}/${stringSlice(numberToString(year), -2)}`;
    const isLong = style === "long" || style === "full" || monthStyle === "long";
    const isShort = style === "medium" || monthStyle === "short";
    const dayText = style || wanted.day ? (wanted.day === "2-digit" ? two(day) : `${day}`) : "";
    const yearText = !style && !wanted.year ? ""
      : wanted.year === "2-digit" ? stringSlice(numberToString(year), -2) : `${year}`;
    const weekdayText = style === "full" || wanted.weekday === "long" ? days[weekday]
      : wanted.weekday ? stringSlice(days[weekday], 0, 3) : "";
    let text;
    if (isLong || isShort) {
      const name = isLong ? months[month] : stringSlice(months[month], 0, 3);
      text = name + (dayText && ` ${dayText}`) + (yearText && (dayText ? `, ${yearText}` : ` ${yearText}`));
    } else {
      const number = monthStyle ? (monthStyle === "2-digit" ? two(month + 1) : `${month + 1}`) : "";
      const start = number + (number && dayText ? "/" : "") + dayText;
      text = start + (start && yearText ? "/" : "") + yearText;
    }
    return weekdayText + (weekdayText && text ? ", " : "") + text;
  };
  const formatTime = (date, options) => {
    const parts = dateParts(date), hour = parts[3], minute = parts[4], second = parts[5];
    const is24 = options?.hour12 === false || options?.hourCycle === "h23";
    const seconds = options?.timeStyle === "short" || (options?.hour && !options?.second) ? "" : `:${two(second)}`;
    const shown = is24 ? two(hour) : options?.hour === "2-digit" ? two(hour % 12 || 12) : `${hour % 12 || 12}`;
    return `${shown}:${two(minute)}${seconds}${is24 ? "" : hour < 12 ? " AM" : " PM"}`;
  };
  const dated = (format) => function (locale, options) {
    return dateGetTime(this) === dateGetTime(this) ? format(this, options) : "Invalid Date";
  };
  const dateMethods = {
    toLocaleDateString: dated(formatDate),
    toLocaleTimeString: dated(formatTime),
    toLocaleString: dated((date, options) => {
      const has = (names) => {
        for (let i = 0; options && i < names.length; i++) if (options[names[i]] !== undefined) return true;
        return !options;
      };
      const hasTime = has(["hour", "minute", "second", "timeStyle", "hour12"]);
      const hasDate = has(["year", "month", "day", "weekday", "dateStyle"]);
      if (hasDate && !hasTime) return formatDate(date, options);
      if (hasTime && !hasDate && options) return formatTime(date, options);
      return `${formatDate(date, options)}, ${formatTime(date, options)}`;
    }),
  };
  natives.define("toLocaleDateString", dateMethods.toLocaleDateString, Date.prototype);
  natives.define("toLocaleTimeString", dateMethods.toLocaleTimeString, Date.prototype);
  natives.define("toLocaleString", dateMethods.toLocaleString, Date.prototype);
};
