/* What the functions of a network refuse; 0 is returned where all is as it should be, or else the line. */

#include <stddef.h>
#include <string.h>

#include "net.h"

#define MUST(condition) \
    if (!(condition)) \
    return __LINE__ & 127

#ifdef FLOATS
typedef float size_type;
#else
typedef uint8_t size_type;
#endif

static net_state state, before;

int main(void)
{
    const uint16_t rising[2] = {0, 1}, beyond[2] = {0, NET_SOURCES}, falling[2] = {1, 0}, twice[2] = {1, 1};
    const size_type sizes[2] = {3, 4}, ones[2] = {1, 1};
    uint32_t t;

    MUST(net_init(NULL) == NET_ERROR_NULL);
    MUST(net_step(NULL, 0, NULL, NULL) == NET_ERROR_NULL);
    MUST(net_tail_step(NULL) == NET_ERROR_NULL);
    MUST(net_result(NULL) == NET_ERROR_NULL);
    MUST(net_scores(NULL) == NULL);

    MUST(net_init(&state) == NET_OK);
    MUST(net_step(&state, 2, rising, sizes) == NET_OK);
    before = state;
    MUST(net_step(&state, 1, NULL, NULL) == NET_ERROR_NULL);
    MUST(net_step(&state, 2, beyond, sizes) == NET_ERROR_SOURCE);
    MUST(net_step(&state, 2, falling, sizes) == NET_ERROR_SOURCE);
    MUST(net_step(&state, 2, twice, sizes) == NET_ERROR_SOURCE);
#ifdef FLOATS
    {
        const volatile float zero = 0;
        float bad[2] = {1, 0};
        bad[1] = 1 / zero;
        MUST(net_step(&state, 2, rising, bad) == NET_ERROR_SIZE);
        bad[1] = zero / zero;
        MUST(net_step(&state, 2, rising, bad) == NET_ERROR_SIZE);
    }
#endif
    MUST(memcmp(&state, &before, sizeof(state)) == 0);

    /* no sizes are sizes of 1 */
    MUST(net_step(&state, 2, rising, NULL) == NET_OK);
    MUST(net_step(&before, 2, rising, ones) == NET_OK);
    MUST(memcmp(&state, &before, sizeof(state)) == 0);

    for (t = 0; t < NET_TAIL_STEPS; t++)
        MUST(net_tail_step(&state) == NET_OK);
    before = state;
    MUST(net_tail_step(&state) == NET_ERROR_ENDED);
    MUST(net_step(&state, 0, NULL, NULL) == NET_ERROR_ENDED);
    MUST(memcmp(&state, &before, sizeof(state)) == 0);
    MUST(net_result(&state) >= 0);
    MUST(net_init(&state) == NET_OK);
    MUST(net_step(&state, 0, NULL, NULL) == NET_OK);
    return 0;
}
