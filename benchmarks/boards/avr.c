/* Cycles of one prediction on an ATmega328P, by timer 1: a number on the serial port. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdint.h>
#include "rows.h"

int row(const input_t *x);

static volatile uint16_t overflows;

ISR(TIMER1_OVF_vect)
{
    overflows++;
}

static void put(char character)
{
    while (!(UCSR0A & (1 << UDRE0))) {}
    UDR0 = (uint8_t)character;
}

int main(void)
{
    volatile int kept = 0;
    char text[10];
    int at = 0;
    TIMSK1 = 1 << TOIE1;
    sei();
    TCCR1B = 1 << CS10;
    for (int i = 0; i < N_ROWS; i++) kept += row(rows[i]);
    cli();
    const uint16_t low = TCNT1;
    if ((TIFR1 & 1 << TOV1) && low < 0x8000) overflows++;
    uint32_t cycles = (uint32_t)overflows << 16 | low;
    UCSR0B = 1 << TXEN0;
    do text[at++] = (char)('0' + cycles % 10); while (cycles /= 10);
    put('=');
    while (at) put(text[--at]);
    put('\n');
    while (!(UCSR0A & (1 << TXC0))) {}
    sleep_enable();
    sleep_cpu();
    return 0;
}
