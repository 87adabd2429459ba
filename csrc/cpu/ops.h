// Every operation on the CPU. Results are the same for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/common/lookup_args.h"
#include "csrc/common/reset_rows_args.h"
#include "csrc/common/row_gradients_args.h"
#include "csrc/common/rows_args.h"
#include "csrc/common/update_args.h"
#include "csrc/common/zch/args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

// Forward: bags of ids to pooled rows.
void Lookup(const LookupArgs& args, const Pool& pool);
// rows[f]: of the table of feature f. faults [num_features, 2]: count and first id, as Lookup gives them.
void CountFaults(const BagsView& bags, const int64_t* rows, int64_t num_features, int32_t* faults, const Pool& pool);
void IdWeightsGrad(const IdWeightsGradArgs& args, const Pool& pool);

// Backward fused with the optimizer: every touched row is summed and updated once, by one owner.
size_t UpdateScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables);
void Update(const UpdateArgs& args, const Pool& pool);

// The gradients of touched rows, without an optimizer: norms[t], the sum of the squares of table t, or the rows.
size_t RowGradientsScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables);
void SquareNorms(const RowGradientsArgs& args, float* norms, const Pool& pool);
void RowGradients(const RowGradientsArgs& args, const RowGradientsOutput& out, const Pool& pool);

// Rows of some tables as one float32 block, and back: for optimizers that are not written as a rule.
void GatherRows(const RowsArgs& args, float* out, const Pool& pool);  // out [count, dim], zeros where there is no row
void StoreRows(const RowsArgs& args, const float* values, const Pool& pool);  // rounds to nearest

// Rows as they were at the beginning: fresh values, and optimizer state of zeros.
void ResetRows(const ResetRowsArgs& args, const Pool& pool);

// Raw ids in a hashed ZCH: looked up, with nothing changed; or hits, inserts and evictions in place.
void ZchFind(const ZchFindArgs& args, const Pool& pool);
size_t ZchInsertScratchBytes(int64_t num_ids);
// `grain`: positions of a task, at least.
void ZchInsert(const ZchInsertArgs& args, const Pool& pool, int64_t grain = 2048);

}  // namespace jaxtbe
