/* templates.h - the files of new projects, made from *.template by embed.py. In
 * their texts %name% is "my-sensor", %ident% "my_sensor", %IDENT% "MY_SENSOR",
 * %Type% "MySensor", %service% what the generator of contracts makes of %Type%,
 * and %sdk% the folder of inaetics.pc. */
#pragma once

typedef struct Template {
    const char *name; /* without .template; NULL in the last */
    const char *text;
} Template;

extern const Template templates[];
