// What this image offers.
#pragma once
namespace host {
// Prints the manifest (one JSON object) to standard output.
void print_manifest();
}  // namespace host
