// The command line of the trainer.
console.log('trainer')
