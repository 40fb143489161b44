/* analyzer.h - included before each file that clang-tidy sees: what the
 * functions of other files promise, so that it need not guess. */
#pragma once

#include <inaetics/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* An error is negative, always. */
#define analyzer_negative(call)                                                                                        \
    ({                                                                                                                 \
        int analyzer_r = (call);                                                                                       \
        if (analyzer_r >= 0)                                                                                           \
            __builtin_unreachable();                                                                                   \
        analyzer_r;                                                                                                    \
    })

#define ina_error_set(...) analyzer_negative(ina_error_set(__VA_ARGS__))
#define ina_error_errno(...) analyzer_negative(ina_error_errno(__VA_ARGS__))
#define ina_error_wrap(...) analyzer_negative(ina_error_wrap(__VA_ARGS__))
