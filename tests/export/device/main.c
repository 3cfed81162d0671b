/* Runs clips through an exported network and prints what it does.
   clips.h defines the network's names (NET, NET_UPPER), layers, and the clips. */

#include <stdint.h>

#include "clips.h"

static NET(state) state;

/* of here.c or cortex_m.c */
void emit(const char *text);
void count_from_here(void);
uint32_t counted(void);
uint32_t counted_of_1000(void);

static void print_number(uint64_t value)
{
    char digits[24];
    int at = 23;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    emit(" ");
    emit(digits + at);
}

static uint32_t bits(const void *value)
{
    const unsigned char *byte = value;
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

static void print_spikes(uint32_t clip, uint32_t t, uint32_t layer, const uint16_t *neuron, uint32_t count)
{
    uint32_t k;
    if (count == 0)
        return;
    emit("spikes");
    print_number(clip);
    print_number(layer);
    print_number(t);
    for (k = 0; k < count; k++)
        print_number(neuron[k]);
    emit("\n");
}

static void print_step(uint32_t clip, uint32_t t, uint32_t instructions)
{
    uint32_t j;
    PRINT_ALL_SPIKES
    emit("voltage");
    print_number(clip);
    for (j = 0; j < NET_UPPER(CLASSES); j++)
        print_number(bits(&state.READOUT_VOLTAGE[j]));
    emit("\ninstructions");
    print_number(clip);
    print_number(instructions);
    emit("\n");
}

int main(void)
{
    uint32_t clip, t, j;
    emit("calibration");
    print_number(counted_of_1000());
    emit("\nsize");
    print_number(sizeof(state));
    emit("\n");
    for (clip = 0; clip < CLIPS; clip++) {
        const uint32_t length = clip_length[clip], first = clip_first[clip];
        if (NET(init)(&state) != NET_UPPER(OK))
            return 1;
        for (t = 0; t < length; t++) {
            const uint32_t from = step_first[first + t], to = step_first[first + t + 1];
            int status;
            count_from_here();
            status = NET(step)(&state, to - from, event_source + from, event_size + from);
            j = counted();
            if (status != NET_UPPER(OK))
                return 2;
            print_step(clip, t, j);
        }
        while (t < length + NET_UPPER(TAIL_STEPS)) {
            count_from_here();
            if (NET(tail_step)(&state) != NET_UPPER(OK))
                return 3;
            j = counted();
            print_step(clip, t++, j);
        }
        if (NET(tail_step)(&state) != NET_UPPER(ERROR_ENDED))
            return 4;
        emit("scores");
        print_number(clip);
        for (j = 0; j < NET_UPPER(CLASSES); j++)
            print_number(SCORE_BITS(NET(scores)(&state)[j]));
        emit("\nresult");
        print_number(clip);
        print_number((uint64_t)NET(result)(&state));
        emit("\n");
    }
    return 0;
}
