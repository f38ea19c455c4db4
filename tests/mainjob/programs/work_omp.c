// A heat equation in OpenMP: a line a step to stdout and to a file. Usage: work_omp STEPS
#include <stdio.h>
#include <stdlib.h>

enum { kSize = 600 };
static double grid[2][kSize][kSize];

int main(int argc, char** argv) {
  int steps = argc > 1 ? atoi(argv[1]) : 10;
  FILE* file = fopen("progress", "w");
  for (int n = 0; n < kSize; n++) grid[0][n][0] = grid[1][n][0] = 100;
  for (int step = 0; step < steps; step++) {
    for (int inner = 0; inner < 60; inner++)
#pragma omp parallel for schedule(static) num_threads(4)
      for (int i = 1; i < kSize - 1; i++)
        for (int j = 1; j < kSize - 1; j++)
          grid[~inner & 1][i][j] = 0.25 * (grid[inner & 1][i - 1][j] + grid[inner & 1][i + 1][j] +
                                           grid[inner & 1][i][j - 1] + grid[inner & 1][i][j + 1]);
    double sum = 0;
    for (int i = 0; i < kSize; i++)
      for (int j = 0; j < kSize; j++) sum += grid[0][i][j];
    printf("%d %.17g\n", step, sum);
    fprintf(file, "%d %.17g\n", step, sum);
    fflush(stdout);
    fflush(file);
  }
  fclose(file);
  return 3;
}
