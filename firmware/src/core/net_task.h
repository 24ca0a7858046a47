// The network task: HTTP server and update receiver, started when the network first comes up, polled as input or time asks for it.
#pragma once

namespace k1 {

void net_run(void*);

}  // namespace k1
