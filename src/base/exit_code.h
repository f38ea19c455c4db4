#pragma once
// Cairn's own exit codes. A program's own code passes unchanged, so these lie where programs seldom
// have theirs; 124 to 127 mean what timeout(1), env(1) and the shells mean by them.

namespace cairn {

enum class ExitCode : int {
  kOk = 0,
  kUsage = 120,           // the command line was wrong
  kRefused = 121,         // nothing was done: no such job, it still runs, this machine does not fit
  kDamaged = 122,         // a generation is missing, incomplete or fails its checksums
  kFailed = 123,          // tried and failed; the job goes on, or was not restarted
  kTimeout = 124,         // not done in time; the job goes on
  kInternal = 125,        // Cairn itself could not work: no agent, no runtime, no memory
  kNotExecutable = 126,   // the program was found and cannot be run
  kNotFound = 127,        // there is no such program
};

}  // namespace cairn
