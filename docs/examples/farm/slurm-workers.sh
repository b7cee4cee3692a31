#!/bin/bash
# Four workers as jobs of SLURM:  sbatch slurm-workers.sh
#SBATCH --job-name=imagebuild-worker
#SBATCH --array=1-4
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=08:00:00
# SIGTERM to the batch shell five minutes before the end of the job, so that the worker can hand back its builds.
#SBATCH --signal=B:TERM@300
set -eu
cd "${IMAGEBUILD_PROJECT:?the folder with imagebuild.yaml}"
# Each job has a store of its own; the section store of imagebuild.yaml names the shared one.
export IMAGEBUILD_STORE="${TMPDIR:-/tmp}/imagebuild-store-$SLURM_JOB_ID"
imagebuild worker --name "slurm-$SLURM_JOB_ID" --vcpus 16 --memory 28GiB --jobs 4 --finish 4m &
worker=$!
trap 'kill -TERM "$worker"' TERM
# The first wait ends with the signal, the second one with the worker.
wait "$worker" || wait "$worker"
rm -rf "$IMAGEBUILD_STORE"
