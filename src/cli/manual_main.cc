// cairn-manual page|bash FILE: a tool of the build.

#include <fstream>
#include <iostream>
#include <string>

#include "cli/manual.h"

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  if (what != "page" && what != "bash") {
    std::cerr << "usage: cairn-manual page|bash FILE\n";
    return 1;
  }
  std::ofstream file(argv[2]);
  file << (what == "page" ? cairn::cli::manual_page() : cairn::cli::bash_completion());
  file.close();
  return file ? 0 : 1;
}
