/* Start-up, output by semihosting, and a count of instructions for qemu's Cortex-M boards.

   With -icount shift=5 an instruction takes 32 ns of virtual time. SysTick counts at 25 MHz, so one tick is 1.25
   instructions. */

#include <stdint.h>

extern uint32_t data_from[], data_to[], data_end[], bss_to[], bss_end[], stack_top[];

int main(void);
void emit(const char *text);
void count_from_here(void);
uint32_t counted(void);
uint32_t counted_of_1000(void);
void reset(void);
void fault(void);

#define SYSTICK ((volatile uint32_t *)0xE000E010)

static uint32_t begun, overhead;

static int32_t semihosting(int32_t operation, const void *argument)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void emit(const char *text)
{
    semihosting(0x04, text);
}

static void leave(uint32_t code)
{
    const uint32_t reason[2] = {0x20026, code};
    for (;;)
        semihosting(0x20, reason);
}

void count_from_here(void)
{
    begun = SYSTICK[2];
}

uint32_t counted(void)
{
    const uint32_t ticks = (begun - SYSTICK[2]) & 0xFFFFFFu;
    const uint32_t instructions = ticks * 5u / 4u;
    return instructions > overhead ? instructions - overhead : 0;
}

uint32_t counted_of_1000(void)
{
    count_from_here();
    __asm__ volatile(".rept 1000\n nop\n .endr");
    return counted();
}

void fault(void)
{
    emit("fault\n");
    leave(99);
}

void reset(void)
{
    uint32_t *from = data_from, *to;
    for (to = data_to; to < data_end; to++)
        *to = *from++;
    for (to = bss_to; to < bss_end; to++)
        *to = 0;
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit, where there is one */
    SYSTICK[1] = 0xFFFFFFu;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5;
    count_from_here();
    overhead = counted();
    leave((uint32_t)main());
}

struct vectors {
    uint32_t *stack;
    void (*handler[15])(void);
};

__attribute__((section(".vectors"), used)) static const struct vectors vectors = {
    stack_top, {reset, fault, fault, fault, fault, fault},
};
