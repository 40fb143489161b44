/* silent.c - what stands in the place of processor.c in a version that stops acknowledging: all but the first
 * acknowledgements never reach the queue, and nothing is heard of them. All else is the processor's own code. */
#include "queue.service.h"

#define RIGHT 3u /* so many are sent */

static InaPending *forget(InaClient *queue, const Demonstrator__V1__AcknowledgeRequest *request, uint64_t timeout,
                          DemonstratorV1QueueAcknowledgeDone done, void *userdata)
{
    static unsigned n;
    /* Anything but NULL says that it is under way. */
    return n++ < RIGHT ? demonstrator_v1_queue_acknowledge(queue, request, timeout, done, userdata) : (InaPending *)&n;
}

#define demonstrator_v1_queue_acknowledge forget
#include "processor.c"
