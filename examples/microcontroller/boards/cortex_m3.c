/* The self-test on a Cortex-M3: its result leaves QEMU by semihosting, as an exit code. */
#include <stdint.h>

#define main self_test
#include SELF_TEST
#undef main

extern uint32_t data_in_flash[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];

static void leave(int code)
{
    /* SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit */
    const uint32_t arguments[2] = {0x20026, (uint32_t)code};
    register uint32_t operation __asm__("r0") = 0x20;
    register const uint32_t *block __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(block) : "memory");
    for (;;) {}
}

static void reset(void)
{
    const uint32_t *from = data_in_flash;
    for (uint32_t *to = data_begin; to < data_end; to++) *to = *from++;
    for (uint32_t *to = bss_begin; to < bss_end; to++) *to = 0;
    leave(self_test());
}

static void fault(void)
{
    leave(2);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
