/* Output of main.c on this machine; instructions are not counted. */

#include <stdint.h>
#include <stdio.h>

void emit(const char *text);
void count_from_here(void);
uint32_t counted(void);
uint32_t counted_of_1000(void);

void emit(const char *text)
{
    fputs(text, stdout);
}

void count_from_here(void)
{
}

uint32_t counted(void)
{
    return 0;
}

uint32_t counted_of_1000(void)
{
    return 0;
}
