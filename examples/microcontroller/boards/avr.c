/* The self-test on an AVR: one line on the serial port, then sleep, which ends the simulation. */
#include <avr/io.h>
#include <avr/interrupt.h>
#include <avr/sleep.h>

#define main self_test
#include SELF_TEST
#undef main

static void put(const char *text)
{
    for (; *text; text++) {
        while (!(UCSR0A & (1 << UDRE0))) {}
        UDR0 = (uint8_t)*text;
    }
}

int main(void)
{
    UCSR0B = 1 << TXEN0;
    put(self_test() == 0 ? "self-test passed\n" : "self-test FAILED\n");
    while (!(UCSR0A & (1 << TXC0))) {}
    cli();
    sleep_enable();
    sleep_cpu();
    return 0;
}
