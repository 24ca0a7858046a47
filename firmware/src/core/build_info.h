// Who this build is. The values come from the build (firmware/tools/identity.py) and live in one object file.
#pragma once

namespace k1 {

extern const char kProject[];     // "k1" on the chip, "k1-sim" for the host build
extern const char kVersion[];     // e.g. "1.0.0"
extern const char kGitCommit[];   // 7 hex digits, "+" when the tree was dirty, "unknown" outside git
extern const char kBuildTime[];   // ISO 8601 UTC: the commit's time, so that the same source gives the same bytes
extern const char kPlatform[];    // PlatformIO platform and version ("native" for the host build)
extern const char kFramework[];   // Arduino core and version ("none" for the host build)
extern const bool kHilBuild;      // HIL commands (clock offset) are compiled in

}  // namespace k1
