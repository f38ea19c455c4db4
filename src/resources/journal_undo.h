#pragma once
// A restart undoes what its journals say has been done to files since the commit, the last first.
//
// Each record is marked when it is undone, so what a failed restart has begun the next one goes on
// with. A name under which something else stands by now is left alone, unless the place is needed
// for what was there at the commit: then it goes to the undo directory, as everything does that is
// taken away.

#include <functional>
#include <set>
#include <string>

#include "resources/file_journal.h"

namespace cairn::resources {

struct UndoRequest {
  std::string directory;       // of the journals
  JournalPositions positions;  // of the generation
  std::uint64_t without = 0;   // a journal that is not to be undone: the one begun by this restart
  std::string undo_directory;
  // Where a path of the journals leads now.
  std::function<std::string(const std::string&)> moved = [](const std::string& path) { return path; };
};

// Names that an undoing will touch: what they are now says nothing of what they will be.
Result<std::set<std::string>> names_in_journals(const UndoRequest& request);

// Nothing is changed if something could not be kept when it was lost: that is refused by name.
Result<> undo_journals(const UndoRequest& request);

}  // namespace cairn::resources
