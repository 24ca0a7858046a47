// The identity macros are C string literals given by the build (-D); a build without them still says honestly that it is unknown.
#include "core/build_info.h"

#ifndef K1_PROJECT
#define K1_PROJECT "k1"
#endif
#ifndef K1_VERSION
#define K1_VERSION "0.0.0"
#endif
#ifndef K1_GIT_COMMIT
#define K1_GIT_COMMIT "unknown"
#endif
#ifndef K1_BUILD_TIME
#define K1_BUILD_TIME "1970-01-01T00:00:00Z"
#endif
#ifndef K1_HIL
#define K1_HIL 0
#endif
#ifndef K1_PLATFORM
#define K1_PLATFORM "native"
#endif
#ifndef K1_FRAMEWORK
#define K1_FRAMEWORK "none"
#endif

namespace k1 {

const char kProject[] = K1_PROJECT;
const char kVersion[] = K1_VERSION;
const char kGitCommit[] = K1_GIT_COMMIT;
const char kBuildTime[] = K1_BUILD_TIME;
const char kPlatform[] = K1_PLATFORM;
const char kFramework[] = K1_FRAMEWORK;
const bool kHilBuild = K1_HIL != 0;

}  // namespace k1
